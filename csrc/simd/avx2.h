/* AVX2 + FMA: 8 floats or 4 doubles. */
#if FB_REAL == 32
typedef __m256 vec;
#define V(op) _mm256_##op##_ps
#define INT(op) _mm256_##op##_epi32
#define TO_INT _mm256_castps_si256
#define FROM_INT _mm256_castsi256_ps
#define SET_INT(b) _mm256_set1_epi32((int32_t)(b))
#else
typedef __m256d vec;
#define V(op) _mm256_##op##_pd
#define INT(op) _mm256_##op##_epi64
#define TO_INT _mm256_castpd_si256
#define FROM_INT _mm256_castsi256_pd
#define SET_INT(b) _mm256_set1_epi64x((int64_t)(b))
#endif
typedef vec mask;
enum { LANES = 32 / sizeof(real), VECS = PANEL / LANES, MAX_PANELS = 1, ROW_PANELS = 4, MAX_ROWS = 12 };
/* 6 rows x 1 panel, 12 x half of one: 12 accumulators, 2 of the panel, 1 broadcast: 15 of 16 registers.
 * A single row: up to 4 panels, 8 chains of fma, as many as are under way at once. */
#define TILES_6(X, vecs) X(1, vecs) X(2, vecs) X(3, vecs) X(4, vecs) X(5, vecs) X(6, vecs)
#define TILES_12(X, vecs) TILES_6(X, vecs) X(7, vecs) X(8, vecs) X(9, vecs) X(10, vecs) X(11, vecs) X(12, vecs)
#define TILES(X) TILES_12(X, 1) TILES_6(X, 2) X(1, 4) X(1, 6) X(1, 8)
static const int TILE_ROWS[] = {0, 12, 6, 0, 1, 0, 1, 0, 1};

#include "x86.h"

FB_INLINE mask v_less(vec a, vec b) { return V(cmp)(a, b, _CMP_LT_OQ); }
FB_INLINE mask v_equal(vec a, vec b) { return V(cmp)(a, b, _CMP_EQ_OQ); }
FB_INLINE vec v_select(mask m, vec a, vec b) { return V(blendv)(b, a, m); }
FB_INLINE vec v_unless(mask m, vec a) { return V(andnot)(m, a); }

#if FB_REAL == 32
FB_INLINE vec v_zip_low_pairs(vec a, vec b) { return FROM_INT(_mm256_unpacklo_epi64(TO_INT(a), TO_INT(b))); }
FB_INLINE vec v_zip_high_pairs(vec a, vec b) { return FROM_INT(_mm256_unpackhi_epi64(TO_INT(a), TO_INT(b))); }
#define SWAP_BLOCKS _mm256_permute2f128_ps
#else
#define SWAP_BLOCKS _mm256_permute2f128_pd
#endif
#include "transpose.h"

FB_INLINE void v_transpose(vec r[LANES])
{
    transpose_blocks(r);
    FB_UNROLL (int c = 0; c < BLOCK; c++) {
        const vec a = r[c], b = r[BLOCK + c];
        r[c] = SWAP_BLOCKS(a, b, 0x20);
        r[BLOCK + c] = SWAP_BLOCKS(a, b, 0x31);
    }
}
