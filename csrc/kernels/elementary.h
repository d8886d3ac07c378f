/* exp, log, log1p and the normal distribution, of one evaluation order: the same bits for any vector width, under 2 ulp in
 * float32.
 *
 * The coefficients are minimax, from csrc/coefficients.py, which states what each polynomial stands for. */
#if FB_REAL == 32
static const real EXP_Q[] = {0.5000000062f, 0.1666654317f, 0.04166628261f, 0.008366564724f, 0.001394641591f};
static const real LOG_Q[] = {0.666667542f, 0.3997973983f, 0.2982128431f};
static const real LOG1P_Q[] = {0.6666643872f, 0.400205036f, 0.2801597254f, 0.2795073911f};
static const real TAIL_Q[] = {0.6887389445f,    -0.3783219423f,    0.07201185143f,   0.02992874773f,
                              -0.009213177396f, -0.006055491558f,  0.0004479034967f, 0.001379380416f,
                              0.000316853806f,  -0.0001930579255f, -9.599754555e-5f};
enum { EXP_TERMS = 5, LOG_TERMS = 3, LOG1P_TERMS = 4, TAIL_TERMS = 11 };
static const real LN2_HIGH = 0.693145751953125f, LN2_LOW = 1.42860682031e-6f; /* 15 bits, so that n LN2_HIGH is exact */
static const real ROUND = 12582912.0f; /* 1.5 * 2^23: x + ROUND - ROUND is x to the nearest integer */
static const real EXP_LOWEST = -104.0f, EXP_HIGHEST = 89.0f; /* e^x is 0 and infinity beyond */
static const real TAIL_END = 14.5f, TAIL_C = 2.2109375f; /* e^(-t^2/2) is 0 beyond */
static const real SMALLEST_NORMAL = 1.17549435e-38f, TO_NORMAL = 16777216.0f; /* 2^-126, 2^24 */
static const bits ONE = 0x3f800000u, MANTISSA_BITS = 0x007fffffu, MAGNITUDE_BITS = 0x7fffffffu;
static const bits EXPONENT_READER = 0x4b000000u; /* 2^23, whose low bits read as an integer */
static const real EXPONENT_BIAS = 8388608.0f + 127.0f;
#else
static const real EXP_Q[] = {0.5000000000000005488,     0.1666666666666668586,   0.04166666666657417699,
                             0.00833333333331467887,    0.001388888893222942103, 0.0001984126990284363334,
                             0.00002480150460338006746, 2.755722811911063386e-6, 2.762626974687714613e-7,
                             2.511442134806511996e-8};
static const real LOG_Q[] = {0.6666666666666685592, 0.3999999999970177156, 0.2857142868422859981, 0.2222220410180928363,
                             0.1818329502382453063, 0.1532056422791358103, 0.1473392590777046551};
static const real LOG1P_Q[] = {
    0.6666666666666650742, 0.4000000000009682586, 0.285714285543970874,  0.2222222361030100628,  0.1818175534334673674,
    0.153863374587526341,  0.133036735998709081,  0.1208617489653200056, 0.08421766633443367788, 0.1687568281258178425};
static const real TAIL_Q[] = {
    0.729083690133372996,       -0.5093319819174897595,   0.2300177199746038054,     -0.0472630251429388581,
    -0.01046286702331912795,    0.006972621239360828724,  0.001027592259268992037,   -0.001045828605205541569,
    -0.0002565753474988417588,  0.000154394305734000395,  0.00007881267476595283551, -0.00001324512438596128605,
    -0.00002068914073643308127, -3.521134178392221267e-6, 3.640096421620419203e-6,   2.264983037829514079e-6,
    7.635233022848466733e-9,    -6.06748573997553539e-7,  -2.723868567475880713e-7,  5.652953767384624846e-8,
    9.431112636891255284e-8,    1.656259332910169702e-8,  -1.298641926588814339e-8,  -4.747528843325316912e-9};
enum { EXP_TERMS = 10, LOG_TERMS = 7, LOG1P_TERMS = 10, TAIL_TERMS = 24 };
static const real LN2_HIGH = 0.693147180559890330187045, LN2_LOW = 5.4979230187083711747e-14; /* 42 bits */
static const real ROUND = 6755399441055744.0; /* 1.5 * 2^52 */
static const real EXP_LOWEST = -746.0, EXP_HIGHEST = 710.0, TAIL_END = 39.0, TAIL_C = 3;
static const real SMALLEST_NORMAL = 2.2250738585072014e-308, TO_NORMAL = 9007199254740992.0; /* 2^-1022, 2^53 */
static const bits ONE = 0x3ff0000000000000u, MANTISSA_BITS = 0x000fffffffffffffu, MAGNITUDE_BITS = 0x7fffffffffffffffu;
static const bits EXPONENT_READER = 0x4330000000000000u; /* 2^52 */
static const real EXPONENT_BIAS = 4503599627370496.0 + 1023.0;
#endif
static const real LOG2_E = (real)1.4426950408889634074;
static const real SQRT_2 = (real)1.4142135623730950488;

/* sum_i c[i] x^i by Horner's rule. */
FB_INLINE vec polynomial(vec x, const real *c, int terms)
{
    vec sum = v_set(c[terms - 1]);
    FB_UNROLL (int i = terms - 2; i >= 0; i--) sum = v_fma(sum, x, v_set(c[i]));
    return sum;
}

FB_INLINE vec v_abs(vec x) { return v_and(x, v_set_bits(MAGNITUDE_BITS)); }
FB_INLINE vec with_sign_of(vec magnitude, vec x) { return v_or(magnitude, v_and(x, v_set_bits(~MAGNITUDE_BITS))); }

/* x / (y + c) for y >= 0, c > 0, to half an ulp: corrected by what the sum and the quotient rounded off. */
FB_INLINE vec quotient(vec x, vec y, vec c)
{
    const vec d = v_add(y, c), d_low = v_sub(y, v_sub(d, c)), inverse = v_div(v_set(1), d);
    const vec q = v_mul(x, inverse);
    return v_fma(v_fnma(q, d_low, v_fnma(q, d, x)), inverse, q);
}

/* 2^n for an integral n in the normal range, given n + ROUND: its low bits are n. */
FB_INLINE vec power_of_2(vec n_rounded) { return v_add_bits(v_mantissa_left(n_rounded), v_set_bits(ONE)); }

/* x = n ln 2 + r with |r| <= ln(2)/2; returns r and n + ROUND. */
FB_INLINE vec reduced(vec x, vec *n_rounded)
{
    *n_rounded = v_fma(x, v_set(LOG2_E), v_set(ROUND));
    const vec n = v_sub(*n_rounded, v_set(ROUND));
    return v_fnma(n, v_set(LN2_LOW), v_fnma(n, v_set(LN2_HIGH), x));
}

/* e^r - 1 for |r| <= ln(2)/2. */
FB_INLINE vec exp_minus_1_reduced(vec r) { return v_fma(v_mul(r, r), polynomial(r, EXP_Q, EXP_TERMS), r); }

/* (x + rest) 2^n, given n + ROUND, in two steps: what falls below the normal range is rounded once, what rises above it
 * overflows. */
FB_INLINE vec scaled(vec x, vec rest, vec n_rounded)
{
    const vec n = v_sub(n_rounded, v_set(ROUND)), half_rounded = v_fma(n, v_set((real)0.5), v_set(ROUND));
    const vec other_rounded = v_add(v_sub(n, v_sub(half_rounded, v_set(ROUND))), v_set(ROUND));
    const vec scale = power_of_2(half_rounded);
    return v_mul(v_fma(rest, scale, v_mul(x, scale)), power_of_2(other_rounded));
}

/* e^x. NaN stays. */
FB_INLINE vec v_exp(vec x)
{
    vec n_rounded;
    x = v_max(v_set(EXP_LOWEST), v_min(v_set(EXP_HIGHEST), x));
    const vec p = exp_minus_1_reduced(reduced(x, &n_rounded));
    return scaled(v_set(1), p, n_rounded);
}

/* e^x - 1 for |x| <= 64: 2^n p + (2^n - 1), where 2^n - 1 is exact or beside the point. NaN stays. */
FB_INLINE vec exp_minus_1(vec x)
{
    vec n_rounded;
    const vec p = exp_minus_1_reduced(reduced(x, &n_rounded));
    const vec scale = power_of_2(n_rounded);
    return v_fma(scale, p, v_sub(scale, v_set(1)));
}

/* log(x) = e ln 2 + log(1 + f), sqrt(1/2) < 1 + f <= sqrt(2); log(1 + f) = f - (f^2/2 - s (f^2/2 + R(s^2))), s = f / (2 + f). */
FB_INLINE vec v_log(vec x)
{
    const mask subnormal = v_less(x, v_set(SMALLEST_NORMAL));
    const vec normal = v_select(subnormal, v_mul(x, v_set(TO_NORMAL)), x);
    const vec lowered = v_select(subnormal, v_set(MANTISSA + 1), v_set(0));
    vec e = v_sub(v_or(v_mantissa_right(normal), v_set_bits(EXPONENT_READER)), v_set(EXPONENT_BIAS));
    vec m = v_or(v_and(normal, v_set_bits(MANTISSA_BITS)), v_set_bits(ONE));
    const mask high = v_less(v_set(SQRT_2), m);
    m = v_select(high, v_mul(m, v_set((real)0.5)), m);
    e = v_sub(v_add(e, v_select(high, v_set(1), v_set(0))), lowered);

    const vec f = v_sub(m, v_set(1));
    const vec s = v_div(f, v_add(f, v_set(2)));
    const vec z = v_mul(s, s);
    const vec half_square = v_mul(v_set((real)0.5), v_mul(f, f));
    const vec R = v_mul(z, polynomial(z, LOG_Q, LOG_TERMS));
    const vec low = v_fma(s, v_add(half_square, R), v_mul(e, v_set(LN2_LOW)));
    const vec y = v_fma(e, v_set(LN2_HIGH), v_sub(f, v_sub(half_square, low)));

    const vec infinity = v_div(v_set(1), v_set(0));
    const vec special = v_select(v_equal(x, v_set(0)), v_sub(v_set(0), infinity),
                                 v_select(v_equal(x, infinity), infinity, v_set_bits(MAGNITUDE_BITS)));
    const mask ordinary = v_less(v_set(0), v_select(v_less(x, infinity), x, v_set(0)));
    return v_select(ordinary, y, special);
}

/* log(1 + x) = x - s (x - R(s^2)), s = x / (2 + x), for 0 <= x <= 1. NaN stays. */
FB_INLINE vec log_1_plus(vec x)
{
    const vec s = v_div(x, v_add(x, v_set(2)));
    const vec z = v_mul(s, s);
    return v_fnma(s, v_fnma(z, polynomial(z, LOG1P_Q, LOG1P_TERMS), x), x);
}

/* -z^2/2 = n ln 2 + r with what rounding took from the square; returns e^r - 1 and n + ROUND, for |z| <= TAIL_END. */
FB_INLINE vec bell_reduced(vec z, vec *n_rounded)
{
    const vec half = v_mul(v_set((real)-0.5), z), square = v_mul(half, z);
    const vec low = v_fma(half, z, v_sub(v_set(0), square));
    *n_rounded = v_fma(square, v_set(LOG2_E), v_set(ROUND));
    const vec n = v_sub(*n_rounded, v_set(ROUND));
    return exp_minus_1_reduced(v_add(v_fnma(n, v_set(LN2_HIGH), square), v_fnma(n, v_set(LN2_LOW), low)));
}

/* e^(-z^2/2) for |z| <= TAIL_END. NaN stays. */
FB_INLINE vec bell(vec z)
{
    vec n_rounded;
    const vec p = bell_reduced(z, &n_rounded);
    return scaled(v_set(1), p, n_rounded);
}

/* Phi(z), the normal distribution function, for |z| <= TAIL_END: with t = |z|, v = (t - c) / (t + c),
 * Phi(-t) = e^(-t^2/2) q(v) / (t + c), after M. M. Shepherd and J. G. Laframboise (1981); v is 0 in the midst of the tail,
 * so that q_0 outweighs the rest. What its sum with the rest and the quotient round off is carried along. NaN stays. */
FB_INLINE vec normal(vec z)
{
    const vec one = v_set(1), c = v_set(TAIL_C), t = v_abs(z), d = v_add(t, c), d_low = v_sub(t, v_sub(d, c));
    const vec inverse = v_div(one, d), numerator = v_sub(t, c), v_near = v_mul(numerator, inverse);
    const vec v = v_fma(v_fnma(v_near, d, numerator), inverse, v_near);
    const vec q_0 = v_set(TAIL_Q[0]), rest = polynomial(v, TAIL_Q + 1, TAIL_TERMS - 1);
    const vec q = v_fma(v, rest, q_0), q_low = v_fma(v, rest, v_sub(q_0, q));
    const vec tail = v_mul(q, inverse);
    const vec tail_low = v_mul(v_add(v_fnma(tail, d_low, v_fnma(tail, d, q)), q_low), inverse);

    vec n_rounded;
    const vec p = bell_reduced(z, &n_rounded);
    const vec lower = scaled(tail, v_fma(tail, p, v_fma(tail_low, p, tail_low)), n_rounded);
    return v_select(v_less(z, v_set(0)), lower, v_sub(one, lower));
}
