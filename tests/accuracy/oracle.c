/* The same functions in a type so much wider that its own errors do not count, and how far ours are from them.
 *
 * For FB_REAL 32 that is double, from the C library; for FB_REAL 64 it is __float128, from GCC's libquadmath. */
#include <math.h>

#include "simd/real.h"
#include "target.h"

#if FB_REAL == 32
typedef double wide;
typedef int32_t ordinal;
#define W(function) function
/* Those of glibc come four at a time, too; elsewhere they are called one by one. */
#define SIMD(...) FB_PRAGMA(omp simd __VA_ARGS__)
#define IN_VECTORS(function) _Pragma("omp declare simd notinbranch") extern double function(double)
IN_VECTORS(exp);
IN_VECTORS(log);
IN_VECTORS(log1p);
IN_VECTORS(expm1);
IN_VECTORS(tanh);
IN_VECTORS(erfc);
static const wide SMALLEST_NORMAL = 0x1p-126, OVERFLOW = 0x1p128, EPS = 0x1p-23;
#else
#include <quadmath.h>
typedef __float128 wide;
typedef int64_t ordinal;
#define W(function) function##q
#define SIMD(...)
static const wide SMALLEST_NORMAL = 0x1p-1022, OVERFLOW = (wide)0x1p1023 * 2, EPS = 0x1p-52;
#endif
enum { BLOCK = 1024 };

typedef struct {
    double ulps, ulps_at;       /* the greatest error in units of the last place of the exact value, and where */
    double share, share_at;     /* the same in units of |x| eps, eps = 2^-MANTISSA, |x| in the normal range */
    int64_t falls;              /* how often y falls as x rises */
    double deepest, deepest_at; /* by how many floats at most */
} report;

static const wide SQRT_HALF = 0.70710678118654752440084436210484903928Q;
static const wide LAMBDA = 1.0507009873554804934193349852946Q, ALPHA = 1.6732632423543772848170429916717Q;

static inline wide below(wide x) { return x < 0 ? x : 0; }
static inline wide size(wide x) { return x < 0 ? -x : x; }
static inline wide times(wide x, wide factor) { return factor == 0 ? -(wide)0 : x * factor; } /* -inf 0 is -0 */
static inline wide normal(wide x) { return W(erfc)(-x * SQRT_HALF) / 2; }
static inline wide logistic(wide x) { return W(exp)(below(x)) / (1 + W(exp)(-size(x))); }
static inline wide softplus(wide x) { return W(log1p)(W(exp)(-size(x))) - below(-x); }

#define FUNCTIONS(X)                                                                                                   \
    X(exp, W(exp)(x))                                                                                                  \
    X(log, W(log)(x))                                                                                                  \
    X(log1p, W(log1p)(x))                                                                                              \
    X(expm1, W(expm1)(x))                                                                                              \
    X(bell, W(exp)(x * x / -2))                                                                                        \
    X(normal, normal(x))                                                                                               \
    X(logistic, logistic(x))                                                                                           \
    X(tanh, W(tanh)(x))                                                                                                \
    X(elu, x < 0 ? W(expm1)(below(x)) : x)                                                                             \
    X(selu, LAMBDA * (x < 0 ? ALPHA * W(expm1)(below(x)) : x))                                                         \
    X(softplus, softplus(x))                                                                                           \
    X(gelu, times(x, normal(x)))                                                                                             \
    X(silu, times(x, logistic(x)))                                                                                           \
    X(mish, times(x, W(tanh)(softplus(x))))

static inline wide limited(wide x, wide low, wide high) { return x < low ? low : x > high ? high : x; }

/* The unit in the last place of an exact value: the distance between the floats around it. */
static inline wide ulp(wide exact)
{
    double binade = (double)limited(size(exact), SMALLEST_NORMAL, OVERFLOW / 2);
    uint64_t b;
    memcpy(&b, &binade, sizeof b);
    b &= 0x7ff0000000000000u;
    memcpy(&binade, &b, sizeof b);
    return binade * EPS;
}

static inline uint64_t sign(double x)
{
    uint64_t b;
    memcpy(&b, &x, sizeof b);
    return b >> 63;
}

/* |got - exact|, where infinity counts as the next power of 2; infinity if one of them is NaN, or a zero of the wrong sign. */
static inline wide error(wide got, wide exact)
{
    const wide distance = size(limited(got, -OVERFLOW, OVERFLOW) - limited(exact, -OVERFLOW, OVERFLOW));
    const int wrong = (got != got) != (exact != exact) || (got == 0 && sign((double)got) != sign((double)exact));
    return wrong ? (wide)INFINITY : got != got ? 0 : distance;
}

static void keep_greatest(const real *x, const double *values, ptrdiff_t count, double *greatest, double *at)
{
    double here = 0;
    SIMD(reduction(max : here)) for (ptrdiff_t i = 0; i < count; i++) here = values[i] > here ? values[i] : here;
    if (here <= *greatest) return;
    *greatest = here;
    for (ptrdiff_t i = count - 1; i >= 0; i--)
        if (values[i] == here) *at = x[i];
}

static void compare(const real *x, const real *got, const wide *exact, ptrdiff_t count, report *r)
{
    double ulps[BLOCK], share[BLOCK];
    SIMD() for (ptrdiff_t i = 0; i < count; i++)
    {
        const wide e = error(got[i], exact[i]);
        ulps[i] = (double)(e / ulp(exact[i]));
        share[i] = (double)(e / (limited(size(x[i]), SMALLEST_NORMAL, OVERFLOW) * EPS));
    }
    keep_greatest(x, ulps, count, &r->ulps, &r->ulps_at);
    keep_greatest(x, share, count, &r->share, &r->share_at);
}

/* The position of x among all floats, -0 and 0 being one. */
static inline ordinal position(real x)
{
    ordinal b;
    memcpy(&b, &x, sizeof b);
    return b < 0 ? (ordinal)((bits)0 - ((bits)b << 1 >> 1)) : b;
}

/* Where y falls while x rises or the other way round, from one element to the next. */
void falls(const real *x, const real *y, ptrdiff_t count, report *r)
{
    for (ptrdiff_t i = 0; i + 1 < count; i++) {
        if (!((x[i] < x[i + 1] && y[i + 1] < y[i]) || (x[i] > x[i + 1] && y[i] < y[i + 1]))) continue;
        const ordinal a = position(y[i]), b = position(y[i + 1]);
        const double depth = (double)(a < b ? b - a : a - b);
        r->falls++;
        if (depth > r->deepest) r->deepest = depth, r->deepest_at = x[i];
    }
}

/* survey_NAME: adds to the report what ours gave for x. */
#define SURVEY(name, value)                                                                                            \
    void survey_##name(const real *x_i, const real *got, ptrdiff_t count, report *r)                                   \
    {                                                                                                                  \
        wide exact[BLOCK];                                                                                             \
        for (ptrdiff_t start = 0; start < count; start += BLOCK) {                                                     \
            const ptrdiff_t n = count - start < BLOCK ? count - start : BLOCK;                                         \
            SIMD() for (ptrdiff_t i = 0; i < n; i++)                                                                   \
            {                                                                                                          \
                const wide x = x_i[start + i];                                                                         \
                exact[i] = value;                                                                                      \
            }                                                                                                          \
            compare(x_i + start, got + start, exact, n, r);                                                            \
        }                                                                                                              \
    }
FUNCTIONS(SURVEY)
