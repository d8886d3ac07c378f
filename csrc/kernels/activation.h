/* f and f' side by side, for each activation that works element by element.
 *
 * f' is written from a = f(z) where it can be, so that z need not be kept. gelu, silu and mish fall before they rise, so
 * that a does not tell z; they keep z, and stop it where f' has come to 0 or 1, lest infinity meet 0 in a product. */
/* clang-format off */
#define ACTIVATIONS(X)                                                                                                 \
    X(FB_IDENTITY) X(FB_LOGISTIC) X(FB_TANH) X(FB_RELU) X(FB_LEAKY_RELU) X(FB_ELU) X(FB_SELU) X(FB_SOFTPLUS)           \
    X(FB_GELU) X(FB_SILU) X(FB_MISH) X(FB_EXP)
/* clang-format on */

static const real LEAK = (real)0.01;
static const real LAMBDA = (real)1.05070098735548049342, LAMBDA_ALPHA = (real)1.75809934084737685994; /* of selu */
static const real PHI_0 = (real)0.39894228040143267794; /* 1 / sqrt(2 pi) */
static const real MISH_END = 30; /* mish(z) is z beyond, to rounding */

/* x no less than low and no more than high. NaN stays. */
FB_INLINE vec between(real low, real high, vec x) { return v_max(v_set(low), v_min(v_set(high), x)); }

/* e^x - 1 for x <= 0: -1 to rounding long before x = -64. */
FB_INLINE vec exp_minus_1_negative(vec x) { return exp_minus_1(v_max(v_set(-64), x)); }

/* 1 / (1 + e^-z), for z < 0 as e^z / (1 + e^z): nothing overflows. */
FB_INLINE vec logistic(vec z)
{
    const vec e = v_exp(v_sub(v_set(0), v_abs(z)));
    return quotient(v_select(v_less(z, v_set(0)), e, v_set(1)), e, v_set(1));
}

/* f(z) */
FB_INLINE vec f(fb_activation kind, vec z)
{
    const vec zero = v_set(0), two = v_set(2);
    switch (kind) {
    case FB_LOGISTIC:
        return logistic(z);
    case FB_TANH: { /* with t = e^2|z| - 1: t / (t + 2), which is 1 to rounding from |z| = 20 on */
        const vec t = exp_minus_1(v_min(v_set(40), v_mul(two, v_abs(z))));
        return with_sign_of(quotient(t, t, two), z);
    }
    case FB_RELU: /* max(0, z) */
        return v_max(zero, z);
    case FB_LEAKY_RELU: /* max(z / 100, z) */
        return v_max(v_mul(v_set(LEAK), z), z);
    case FB_ELU: /* z, below 0 e^z - 1 */
        return v_select(v_less(z, zero), exp_minus_1_negative(z), z);
    case FB_SELU: /* lambda z, below 0 lambda alpha (e^z - 1) */
        return v_select(v_less(z, zero), v_mul(v_set(LAMBDA_ALPHA), exp_minus_1_negative(z)), v_mul(v_set(LAMBDA), z));
    case FB_SOFTPLUS: /* log(1 + e^z) = max(0, z) + log(1 + e^-|z|) */
        return v_add(v_max(zero, z), log_1_plus(v_exp(v_sub(zero, v_abs(z)))));
    case FB_GELU: /* z Phi(z) */
        return v_mul(v_max(v_set(-TAIL_END), z), normal(between(-TAIL_END, TAIL_END, z)));
    case FB_SILU: /* z / (1 + e^-z) */
        return v_mul(v_max(v_set(EXP_LOWEST), z), logistic(z));
    case FB_MISH: { /* z tanh(log(1 + e^z)), with e = e^z and t = e^2 + 2e: z t / (t + 2) */
        const vec e = v_exp(v_min(v_set(MISH_END), z)), t = v_fma(e, e, v_mul(two, e));
        return v_mul(v_max(v_set(EXP_LOWEST), z), quotient(t, t, two));
    }
    case FB_EXP:
        return v_exp(z);
    default:
        return z;
    }
}

/* dy f'(z), from a = f(z), or from z for those that keep it */
FB_INLINE vec times_f_prime(fb_activation kind, vec dy, vec kept)
{
    const vec zero = v_set(0), one = v_set(1), two = v_set(2), a = kept;
    switch (kind) {
    case FB_LOGISTIC: /* a (1 - a) */
        return v_mul(v_mul(dy, a), v_sub(one, a));
    case FB_TANH: /* 1 - a^2 */
        return v_mul(dy, v_fnma(a, a, one));
    case FB_RELU: /* 1 where a > 0 */
        return v_select(v_equal(a, zero), zero, dy);
    case FB_LEAKY_RELU: /* 1 where a > 0, else 1/100 */
        return v_select(v_less(zero, a), dy, v_mul(v_set(LEAK), dy));
    case FB_ELU: /* 1 where a > 0, else e^z = a + 1 */
        return v_mul(dy, v_add(v_min(zero, a), one));
    case FB_SELU: /* lambda where a > 0, else lambda alpha e^z = a + lambda alpha */
        return v_mul(dy, v_select(v_less(zero, a), v_set(LAMBDA), v_add(a, v_set(LAMBDA_ALPHA))));
    case FB_SOFTPLUS: /* 1 / (1 + e^-z) = 1 - e^-a */
        return v_mul(dy, v_sub(zero, exp_minus_1_negative(v_sub(zero, a))));
    case FB_GELU: { /* Phi(z) + z phi(z), phi(z) = e^(-z^2/2) / sqrt(2 pi) */
        const vec z = between(-TAIL_END, TAIL_END, kept);
        return v_mul(dy, v_fma(v_mul(v_set(PHI_0), z), bell(z), normal(z)));
    }
    case FB_SILU: { /* p + z p (1 - p), p = 1 / (1 + e^-z): of p and 1 - p one is q = 1 / (1 + e), one e q, e = e^-|z| */
        const vec z = between(EXP_LOWEST, EXP_HIGHEST, kept), e = v_exp(v_sub(zero, v_abs(z)));
        const vec q = v_div(one, v_add(one, e)), eq = v_mul(e, q);
        return v_mul(dy, v_fma(v_mul(z, eq), q, v_select(v_less(z, zero), eq, q)));
    }
    case FB_MISH: { /* with e = e^z, t = e^2 + 2e, q = 1 / (t + 2): t q + 4 z e q (1 + e) q */
        const vec z = between(EXP_LOWEST, MISH_END, kept), e = v_exp(z), t = v_fma(e, e, v_mul(two, e));
        const vec q = v_div(one, v_add(t, two)), slope = v_mul(v_mul(e, q), v_mul(v_add(one, e), q));
        return v_mul(dy, v_fma(v_mul(v_set(4), z), slope, v_mul(t, q)));
    }
    case FB_EXP: /* a */
        return v_mul(dy, a);
    default:
        return dy;
    }
}

/* A loop for each kind, out of line, so that each has the registers to itself:
 * a = f(z), count elements in whole vectors, where a may be z; and delta *= f'(z). */
#define LOOPS(KIND)                                                                                                    \
    static void activate_##KIND(const real *z, real *a, ptrdiff_t count)                                               \
    {                                                                                                                  \
        for (ptrdiff_t i = 0; i < count; i += LANES) v_store(a + i, f(KIND, v_load(z + i)));                           \
    }                                                                                                                  \
    static void derive_##KIND(const real *kept, real *delta, ptrdiff_t count)                                          \
    {                                                                                                                  \
        for (ptrdiff_t i = 0; i < count; i += LANES)                                                                   \
            v_store(delta + i, times_f_prime(KIND, v_load(delta + i), v_load(kept + i)));                              \
    }
ACTIVATIONS(LOOPS)
#undef LOOPS

static void activate(fb_activation kind, const real *z, real *a, ptrdiff_t count)
{
#define ENTRY(KIND) [KIND] = activate_##KIND,
    static void (*const LOOPS[])(const real *, real *, ptrdiff_t) = {ACTIVATIONS(ENTRY)};
#undef ENTRY
    if (kind != FB_IDENTITY || z != a) LOOPS[kind](z, a, count);
}

static void derive(fb_activation kind, const real *kept, real *delta, ptrdiff_t count)
{
#define ENTRY(KIND) [KIND] = derive_##KIND,
    static void (*const LOOPS[])(const real *, real *, ptrdiff_t) = {ACTIVATIONS(ENTRY)};
#undef ENTRY
    if (kind != FB_IDENTITY) LOOPS[kind](kept, delta, count);
}
