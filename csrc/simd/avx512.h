/* AVX-512 F + DQ: 16 floats or 8 doubles. */
#if FB_REAL == 32
typedef __m512 vec;
typedef __mmask16 mask;
#define V(op) _mm512_##op##_ps
#define V_MASK(op) _mm512_##op##_ps_mask
#define INT(op) _mm512_##op##_epi32
#define TO_INT _mm512_castps_si512
#define FROM_INT _mm512_castsi512_ps
#define SET_INT(b) _mm512_set1_epi32((int32_t)(b))
#define PICK_BLOCKS _mm512_shuffle_f32x4
#else
typedef __m512d vec;
typedef __mmask8 mask;
#define V(op) _mm512_##op##_pd
#define V_MASK(op) _mm512_##op##_pd_mask
#define INT(op) _mm512_##op##_epi64
#define TO_INT _mm512_castpd_si512
#define FROM_INT _mm512_castsi512_pd
#define SET_INT(b) _mm512_set1_epi64((int64_t)(b))
#define PICK_BLOCKS _mm512_shuffle_f64x2
#endif
enum { LANES = 64 / sizeof(real), VECS = PANEL / LANES, MAX_PANELS = 4, ROW_PANELS = 4, MAX_ROWS = 14 };
/* 6 x 4, 8 x 3, 12 x 2, 14 x 1 panels, each a vector: at most 24 accumulators, 4 of the panels, 1 broadcast, of 32
 * registers. */
#define TILES_6(X, vecs) X(1, vecs) X(2, vecs) X(3, vecs) X(4, vecs) X(5, vecs) X(6, vecs)
#define TILES_8(X, vecs) TILES_6(X, vecs) X(7, vecs) X(8, vecs)
#define TILES_12(X, vecs) TILES_8(X, vecs) X(9, vecs) X(10, vecs) X(11, vecs) X(12, vecs)
#define TILES_14(X, vecs) TILES_12(X, vecs) X(13, vecs) X(14, vecs)
#define TILES(X) TILES_14(X, 1) TILES_12(X, 2) TILES_8(X, 3) TILES_6(X, 4)
static const int TILE_ROWS[] = {0, 14, 12, 8, 6};

#include "x86.h"

FB_INLINE mask v_less(vec a, vec b) { return V_MASK(cmp)(a, b, _CMP_LT_OQ); }
FB_INLINE mask v_equal(vec a, vec b) { return V_MASK(cmp)(a, b, _CMP_EQ_OQ); }
FB_INLINE vec v_select(mask m, vec a, vec b) { return V(mask_blend)(m, b, a); }
FB_INLINE vec v_unless(mask m, vec a) { return v_select(m, v_set(0), a); }

#if FB_REAL == 32
FB_INLINE vec v_zip_low_pairs(vec a, vec b) { return FROM_INT(_mm512_unpacklo_epi64(TO_INT(a), TO_INT(b))); }
FB_INLINE vec v_zip_high_pairs(vec a, vec b) { return FROM_INT(_mm512_unpackhi_epi64(TO_INT(a), TO_INT(b))); }
#endif
#include "transpose.h"

/* Block q of r[BLOCK * g + c] becomes block g of r[BLOCK * q + c]: a 4 x 4 transpose of blocks, for each c. */
FB_INLINE void v_transpose(vec r[LANES])
{
    transpose_blocks(r);
    FB_UNROLL (int c = 0; c < BLOCK; c++) {
        const vec even01 = PICK_BLOCKS(r[c], r[BLOCK + c], 0x88);
        const vec odd01 = PICK_BLOCKS(r[c], r[BLOCK + c], 0xdd);
        const vec even23 = PICK_BLOCKS(r[2 * BLOCK + c], r[3 * BLOCK + c], 0x88);
        const vec odd23 = PICK_BLOCKS(r[2 * BLOCK + c], r[3 * BLOCK + c], 0xdd);
        r[c] = PICK_BLOCKS(even01, even23, 0x88);
        r[BLOCK + c] = PICK_BLOCKS(odd01, odd23, 0x88);
        r[2 * BLOCK + c] = PICK_BLOCKS(even01, even23, 0xdd);
        r[3 * BLOCK + c] = PICK_BLOCKS(odd01, odd23, 0xdd);
    }
}
