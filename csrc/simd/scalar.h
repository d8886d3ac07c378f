/* Baseline C: one lane. fma() is exact by the standard, so the bits are those of every other instruction set. */
#include <math.h>

typedef real vec;
typedef int mask;
enum { LANES = 1, VECS = PANEL / LANES, MAX_PANELS = 1, ROW_PANELS = 1, MAX_ROWS = 1 };
#if FB_REAL == 32
#define TILES(X) X(1, 1) X(1, 2) X(1, 4) X(1, 8) X(1, 16)
#else
#define TILES(X) X(1, 1) X(1, 2) X(1, 4) X(1, 8)
#endif
static const int TILE_ROWS[] = {[1] = 1, [2] = 1, [4] = 1, [8] = 1, [16] = 1};

#if FB_REAL == 32
#define F(op) op##f
#else
#define F(op) op
#endif

FB_INLINE bits to_bits(vec a)
{
    bits b;
    memcpy(&b, &a, sizeof b);
    return b;
}
FB_INLINE vec v_set_bits(bits b)
{
    vec a;
    memcpy(&a, &b, sizeof a);
    return a;
}

FB_INLINE vec v_set(real a) { return a; }
FB_INLINE vec v_load(const real *p) { return *p; }
FB_INLINE void v_store(real *p, vec a) { *p = a; }
FB_INLINE vec v_add(vec a, vec b) { return a + b; }
FB_INLINE vec v_sub(vec a, vec b) { return a - b; }
FB_INLINE vec v_mul(vec a, vec b) { return a * b; }
FB_INLINE vec v_div(vec a, vec b) { return a / b; }
FB_INLINE vec v_sqrt(vec a) { return F(sqrt)(a); }
FB_INLINE vec v_fma(vec a, vec b, vec c) { return F(fma)(a, b, c); }
FB_INLINE vec v_fnma(vec a, vec b, vec c) { return F(fma)(-a, b, c); }
FB_INLINE mask v_less(vec a, vec b) { return a < b; }
FB_INLINE mask v_equal(vec a, vec b) { return a == b; }
FB_INLINE vec v_select(mask m, vec a, vec b)
{
    FB_UNSEEN(m, "+r");
    return m ? a : b;
}
FB_INLINE vec v_unless(mask m, vec a) { return v_select(m, v_set(0), a); }
FB_INLINE vec v_min(vec a, vec b) { return v_select(v_less(a, b), a, b); }
FB_INLINE vec v_max(vec a, vec b) { return v_select(v_less(b, a), a, b); }
FB_INLINE vec v_and(vec a, vec b) { return v_set_bits(to_bits(a) & to_bits(b)); }
FB_INLINE vec v_or(vec a, vec b) { return v_set_bits(to_bits(a) | to_bits(b)); }
FB_INLINE vec v_add_bits(vec a, vec b) { return v_set_bits(to_bits(a) + to_bits(b)); }
FB_INLINE vec v_mantissa_left(vec a) { return v_set_bits(to_bits(a) << MANTISSA); }
FB_INLINE vec v_mantissa_right(vec a) { return v_set_bits(to_bits(a) >> MANTISSA); }
FB_INLINE void v_transpose(vec r[LANES]) { (void)r; }
