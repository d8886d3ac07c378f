/* AArch64 Advanced SIMD: 4 floats or 2 doubles. */
#if FB_REAL == 32
typedef float32x4_t vec;
typedef uint32x4_t mask;
#define V(op) op##q_f32
#define INT(op) op##q_u32
#define TO_INT vreinterpretq_u32_f32
#define FROM_INT vreinterpretq_f32_u32
#else
typedef float64x2_t vec;
typedef uint64x2_t mask;
#define V(op) op##q_f64
#define INT(op) op##q_u64
#define TO_INT vreinterpretq_u64_f64
#define FROM_INT vreinterpretq_f64_u64
#endif
enum { LANES = 16 / sizeof(real), VECS = PANEL / LANES, MAX_PANELS = 1, ROW_PANELS = 4, MAX_ROWS = 6 };
/* 6 rows x 1 panel: 24 accumulators, 4 of the panel, 1 broadcast: 29 of 32 registers. 6 x parts of one: 12 or 6.
 * A single row: up to 4 panels, 16 chains of fma, as many as are under way at once. */
#define TILES_6(X, vecs) X(1, vecs) X(2, vecs) X(3, vecs) X(4, vecs) X(5, vecs) X(6, vecs)
#define TILES(X) TILES_6(X, 1) TILES_6(X, 2) TILES_6(X, 4) X(1, 8) X(1, 12) X(1, 16)
static const int TILE_ROWS[] = {[1] = 6, [2] = 6, [4] = 6, [8] = 1, [12] = 1, [16] = 1};

#if FB_REAL == 32
FB_INLINE vec v_set_bits(bits b) { return FROM_INT(vdupq_n_u32(b)); }
FB_INLINE vec v_set(real a) { return vdupq_n_f32(a); }
FB_INLINE vec v_mantissa_left(vec a) { return FROM_INT(vshlq_n_u32(TO_INT(a), MANTISSA)); }
FB_INLINE vec v_mantissa_right(vec a) { return FROM_INT(vshrq_n_u32(TO_INT(a), MANTISSA)); }
#else
FB_INLINE vec v_set_bits(bits b) { return FROM_INT(vdupq_n_u64(b)); }
FB_INLINE vec v_set(real a) { return vdupq_n_f64(a); }
FB_INLINE vec v_mantissa_left(vec a) { return FROM_INT(vshlq_n_u64(TO_INT(a), MANTISSA)); }
FB_INLINE vec v_mantissa_right(vec a) { return FROM_INT(vshrq_n_u64(TO_INT(a), MANTISSA)); }
#endif
FB_INLINE vec v_load(const real *p) { return V(vld1)(p); }
FB_INLINE void v_store(real *p, vec a) { V(vst1)(p, a); }
FB_INLINE vec v_add(vec a, vec b) { return V(vadd)(a, b); }
FB_INLINE vec v_sub(vec a, vec b) { return V(vsub)(a, b); }
FB_INLINE vec v_mul(vec a, vec b) { return V(vmul)(a, b); }
FB_INLINE vec v_div(vec a, vec b) { return V(vdiv)(a, b); }
FB_INLINE vec v_sqrt(vec a) { return V(vsqrt)(a); }
FB_INLINE vec v_fma(vec a, vec b, vec c) { return V(vfma)(c, a, b); }
FB_INLINE vec v_fnma(vec a, vec b, vec c) { return V(vfms)(c, a, b); }
FB_INLINE mask v_less(vec a, vec b) { return V(vclt)(a, b); }
FB_INLINE mask v_equal(vec a, vec b) { return V(vceq)(a, b); }
FB_INLINE vec v_select(mask m, vec a, vec b)
{
    FB_UNSEEN(m, "+w");
    return V(vbsl)(m, a, b);
}
FB_INLINE vec v_unless(mask m, vec a) { return v_select(m, v_set(0), a); }
/* Not FMIN and FMAX, which differ from x86 in NaN and signed zero. */
FB_INLINE vec v_min(vec a, vec b) { return v_select(v_less(a, b), a, b); }
FB_INLINE vec v_max(vec a, vec b) { return v_select(v_less(b, a), a, b); }
FB_INLINE vec v_and(vec a, vec b) { return FROM_INT(INT(vand)(TO_INT(a), TO_INT(b))); }
FB_INLINE vec v_or(vec a, vec b) { return FROM_INT(INT(vorr)(TO_INT(a), TO_INT(b))); }
FB_INLINE vec v_add_bits(vec a, vec b) { return FROM_INT(INT(vadd)(TO_INT(a), TO_INT(b))); }

FB_INLINE vec v_zip_low(vec a, vec b) { return V(vzip1)(a, b); }
FB_INLINE vec v_zip_high(vec a, vec b) { return V(vzip2)(a, b); }
#if FB_REAL == 32
#define AS_PAIRS vreinterpretq_f64_f32
FB_INLINE vec v_zip_low_pairs(vec a, vec b) { return vreinterpretq_f32_f64(vzip1q_f64(AS_PAIRS(a), AS_PAIRS(b))); }
FB_INLINE vec v_zip_high_pairs(vec a, vec b) { return vreinterpretq_f32_f64(vzip2q_f64(AS_PAIRS(a), AS_PAIRS(b))); }
#endif
#include "transpose.h"

FB_INLINE void v_transpose(vec r[LANES]) { transpose_blocks(r); }
