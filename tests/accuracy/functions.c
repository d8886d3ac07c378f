/* The elementary functions of one instruction set and precision, one by one, as csrc/isa compiles them.
 *
 * ISA_SOURCE is a file of csrc/isa, all of whose functions are static: here they are in sight, on whole arrays. */
#include ISA_SOURCE

#define FUNCTIONS(X)                                                                                                   \
    X(exp, v_exp(x))                                                                                                   \
    X(log, v_log(x))                                                                                                   \
    X(log1p, log_1_plus(x))                                                                                            \
    X(expm1, exp_minus_1_negative(x))                                                                                  \
    X(bell, bell(x))                                                                                                   \
    X(normal, normal(x))                                                                                               \
    X(logistic, f(FB_LOGISTIC, x))                                                                                     \
    X(tanh, f(FB_TANH, x))                                                                                             \
    X(elu, f(FB_ELU, x))                                                                                               \
    X(selu, f(FB_SELU, x))                                                                                             \
    X(softplus, f(FB_SOFTPLUS, x))                                                                                     \
    X(gelu, f(FB_GELU, x))                                                                                             \
    X(silu, f(FB_SILU, x))                                                                                             \
    X(mish, f(FB_MISH, x))

/* y = function(x), count elements in whole vectors. */
#define LOOP(name, value)                                                                                              \
    void fastbp_##name(const real *x_i, real *y_i, ptrdiff_t count);                                                   \
    __attribute__((visibility("default"))) void fastbp_##name(const real *x_i, real *y_i, ptrdiff_t count)             \
    {                                                                                                                  \
        for (ptrdiff_t i = 0; i < count; i += LANES) {                                                                 \
            const vec x = v_load(x_i + i);                                                                             \
            v_store(y_i + i, value);                                                                                   \
        }                                                                                                              \
    }
FUNCTIONS(LOOP)
