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
enum { LANES = 32 / sizeof(real), VECS = PANEL / LANES, MAX_PANELS = 1, MAX_ROWS = 6 };
/* 6 rows x 1 panel: 12 accumulators, 2 of the panel, 1 broadcast: 15 of 16 registers. */
#define TILES(X) X(1, 1) X(2, 1) X(3, 1) X(4, 1) X(5, 1) X(6, 1)
static const int TILE_ROWS[] = {0, 6};

FB_INLINE vec v_set_bits(bits b) { return FROM_INT(SET_INT(b)); }
FB_INLINE vec v_set(real a) { return V(set1)(a); }
FB_INLINE vec v_load(const real *p) { return V(loadu)(p); }
FB_INLINE void v_store(real *p, vec a) { V(storeu)(p, a); }
FB_INLINE vec v_add(vec a, vec b) { return V(add)(a, b); }
FB_INLINE vec v_sub(vec a, vec b) { return V(sub)(a, b); }
FB_INLINE vec v_mul(vec a, vec b) { return V(mul)(a, b); }
FB_INLINE vec v_div(vec a, vec b) { return V(div)(a, b); }
FB_INLINE vec v_sqrt(vec a) { return V(sqrt)(a); }
FB_INLINE vec v_fma(vec a, vec b, vec c) { return V(fmadd)(a, b, c); }
FB_INLINE vec v_fnma(vec a, vec b, vec c) { return V(fnmadd)(a, b, c); }
FB_INLINE vec v_min(vec a, vec b) { return V(min)(a, b); } /* a < b ? a : b, so b where one is NaN */
FB_INLINE vec v_max(vec a, vec b) { return V(max)(a, b); } /* a > b ? a : b */
FB_INLINE mask v_less(vec a, vec b) { return V(cmp)(a, b, _CMP_LT_OQ); }
FB_INLINE mask v_equal(vec a, vec b) { return V(cmp)(a, b, _CMP_EQ_OQ); }
FB_INLINE vec v_select(mask m, vec a, vec b) { return V(blendv)(b, a, m); }
FB_INLINE vec v_and(vec a, vec b) { return V(and)(a, b); }
FB_INLINE vec v_or(vec a, vec b) { return V(or)(a, b); }
FB_INLINE vec v_add_bits(vec a, vec b) { return FROM_INT(INT(add)(TO_INT(a), TO_INT(b))); }
FB_INLINE vec v_mantissa_left(vec a) { return FROM_INT(INT(slli)(TO_INT(a), MANTISSA)); }
FB_INLINE vec v_mantissa_right(vec a) { return FROM_INT(INT(srli)(TO_INT(a), MANTISSA)); }

FB_INLINE vec v_zip_low(vec a, vec b) { return V(unpacklo)(a, b); }
FB_INLINE vec v_zip_high(vec a, vec b) { return V(unpackhi)(a, b); }
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
    FB_UNROLL for (int c = 0; c < BLOCK; c++) {
        const vec a = r[c], b = r[BLOCK + c];
        r[c] = SWAP_BLOCKS(a, b, 0x20);
        r[BLOCK + c] = SWAP_BLOCKS(a, b, 0x31);
    }
}
