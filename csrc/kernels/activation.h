/* f and f' side by side, for each activation that works element by element.
 *
 * f' is written from a = f(z) where it can be, so that z need not be kept. */
#define ACTIVATIONS(X) X(FB_IDENTITY) X(FB_LOGISTIC) X(FB_TANH) X(FB_RELU) X(FB_EXP)

/* x / (y + c) for y >= 0, c > 0, to half an ulp: corrected by what the sum and the quotient rounded off. */
FB_INLINE vec quotient(vec x, vec y, vec c)
{
    const vec d = v_add(y, c), d_low = v_sub(y, v_sub(d, c)), inverse = v_div(v_set(1), d);
    const vec q = v_mul(x, inverse);
    return v_fma(v_fnma(q, d_low, v_fnma(q, d, x)), inverse, q);
}

/* f(z) */
FB_INLINE vec f(fb_activation kind, vec z)
{
    const vec one = v_set(1);
    switch (kind) {
    case FB_LOGISTIC: { /* 1 / (1 + e^-z), for z < 0 as e^z / (1 + e^z): nothing overflows */
        const vec e = v_exp(v_sub(v_set(0), v_abs(z)));
        return quotient(v_select(v_less(z, v_set(0)), e, one), e, one);
    }
    case FB_TANH: { /* with t = e^2|z| - 1: t / (t + 2), which is 1 to rounding from |z| = 20 on */
        const vec t = exp_minus_1_positive(v_min(v_set(40), v_mul(v_set(2), v_abs(z))));
        return with_sign_of(quotient(t, t, v_set(2)), z);
    }
    case FB_RELU: /* max(0, z) */
        return v_max(v_set(0), z);
    case FB_EXP:
        return v_exp(z);
    default:
        return z;
    }
}

/* dy f'(z), from a = f(z) */
FB_INLINE vec times_f_prime(fb_activation kind, vec dy, vec a)
{
    const vec one = v_set(1);
    switch (kind) {
    case FB_LOGISTIC: /* a (1 - a) */
        return v_mul(v_mul(dy, a), v_sub(one, a));
    case FB_TANH: /* 1 - a^2 */
        return v_mul(dy, v_fnma(a, a, one));
    case FB_RELU: /* 1 where a > 0 */
        return v_select(v_equal(a, v_set(0)), v_set(0), dy);
    case FB_EXP: /* a */
        return v_mul(dy, a);
    default:
        return dy;
    }
}

/* a = f(z), count elements in whole vectors; a may be z. */
static void activate(fb_activation kind, const real *z, real *a, ptrdiff_t count)
{
#define CASE(KIND)                                                                                                     \
    case KIND:                                                                                                         \
        for (ptrdiff_t i = 0; i < count; i += LANES) v_store(a + i, f(KIND, v_load(z + i)));                           \
        break;
    if (kind == FB_IDENTITY && z == a) return;
    switch (kind) {
        ACTIVATIONS(CASE)
    default:
        break;
    }
#undef CASE
}

/* delta *= f'(z) */
static void derive(fb_activation kind, const real *a, real *delta, ptrdiff_t count)
{
#define CASE(KIND)                                                                                                     \
    case KIND:                                                                                                         \
        for (ptrdiff_t i = 0; i < count; i += LANES)                                                                   \
            v_store(delta + i, times_f_prime(KIND, v_load(delta + i), v_load(a + i)));                                 \
        break;
    if (kind == FB_IDENTITY) return;
    switch (kind) {
        ACTIVATIONS(CASE)
    default:
        break;
    }
#undef CASE
}
