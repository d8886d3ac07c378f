/* BP1, one output of LANES rows: what it adds to C beside its derivative, for each loss.
 *
 * The derivative is dC/da, but where output and loss match (is_collapsed) it is dC/dz, in which f' has cancelled; of
 * the focal loss after softmax it is a dC/da. So nothing is divided by an a, 1 - a or e^z that may have rounded to 0. */

/* clang-format off */
#define LOSSES(X)                                                                                                      \
    X(FB_SQUARED_ERROR) X(FB_ABSOLUTE_ERROR) X(FB_HUBER) X(FB_QUANTILE) X(FB_POISSON) X(FB_GAMMA)                      \
    X(FB_LOG_LOSS) X(FB_BINARY_LOG_LOSS) X(FB_FOCAL) X(FB_BINARY_FOCAL)
/* clang-format on */

/* Whether f' cancels in BP1. */
FB_INLINE int is_collapsed(fb_loss_name loss, fb_activation f)
{
    switch (loss) {
    case FB_LOG_LOSS:
    case FB_FOCAL:
        return f == FB_SOFTMAX;
    case FB_BINARY_LOG_LOSS:
    case FB_BINARY_FOCAL:
        return f == FB_LOGISTIC;
    case FB_POISSON:
    case FB_GAMMA:
        return f == FB_EXP;
    default:
        return f == FB_IDENTITY;
    }
}

/* Whether the loss needs z besides a. */
FB_INLINE int reads_z(fb_loss_name loss, fb_activation f) { return loss == FB_GAMMA && f == FB_EXP; }

/* The classes among which label smoothing spreads y (Szegedy et al., 2016); 0: the loss is not of classes. */
FB_INLINE ptrdiff_t classes(fb_loss_name loss, ptrdiff_t n_out)
{
    if (loss == FB_LOG_LOSS || loss == FB_FOCAL) return n_out;
    return loss == FB_BINARY_LOG_LOSS || loss == FB_BINARY_FOCAL ? 2 : 0;
}

/* y x, and 0 where y is 0 even if x is infinite: 0 log 0 = 0. */
FB_INLINE vec y_times(vec y, vec x)
{
    const vec zero = v_set(0);
    return v_select(v_equal(y, zero), zero, v_mul(y, x));
}

/* -1, 0 or 1. NaN stays. */
FB_INLINE vec v_sign(vec x)
{
    const vec zero = v_set(0);
    return v_select(v_less(zero, x), v_set(1), v_select(v_less(x, zero), v_set(-1), x));
}

/* -q^gamma log p, where q = 1 - p (Lin et al., 2017), and F = -p d/dp of it = q^gamma (1 - gamma p log(p) / q), whose
 * fraction goes to 0 with p and to -1 with q. F is 1 for gamma = 0, which makes it the log loss. */
FB_INLINE vec focal(vec p, vec q, vec gamma, vec *F)
{
    const vec zero = v_set(0), one = v_set(1), log_p = v_log(p);
    const vec power = v_select(v_equal(gamma, zero), one, v_exp(v_mul(gamma, v_log(q))));
    const vec p_log_p = v_select(v_equal(p, zero), zero, v_mul(p, log_p));
    const vec fraction = v_select(v_equal(q, zero), v_set(-1), v_div(p_log_p, q));
    *F = v_mul(power, v_fnma(gamma, fraction, one));
    return v_sub(zero, v_mul(power, log_p));
}

/* log(a/y) + y/a - 1, half the deviance of the gamma distribution (McCullagh and Nelder, 1989). After exp log a is z and
 * y/a is y e^(-z/2) e^(-z/2): neither needs an a that has overflowed, or vanished. */
FB_INLINE vec gamma_cost(int collapsed, vec z, vec a, vec y, vec *d)
{
    const vec one = v_set(1);
    if (collapsed) {
        const vec root = v_exp(v_mul(v_set((real)-0.5), z)), ratio = v_mul(v_mul(y, root), root);
        *d = v_sub(one, ratio);
        return v_sub(v_sub(z, v_log(y)), *d);
    }
    const vec slope = v_sub(one, v_div(y, a));
    *d = v_div(slope, a);
    return v_sub(v_sub(v_log(a), v_log(y)), slope);
}

/* The focal loss of each side: -y (1 - a)^gamma log a - (1 - y) a^gamma log(1 - a). */
FB_INLINE vec binary_focal_cost(int collapsed, vec a, vec p, vec y, vec gamma, vec *d)
{
    const vec one = v_set(1), q = v_sub(one, p), not_y = v_sub(one, y);
    vec F_hit, F_miss;
    const vec hit = y_times(y, focal(p, q, gamma, &F_hit)), miss = y_times(not_y, focal(q, p, gamma, &F_miss));
    if (collapsed)
        *d = v_sub(v_mul(v_mul(not_y, F_miss), a), v_mul(v_mul(y, F_hit), v_sub(one, a)));
    else
        *d = v_sub(y_times(not_y, v_div(F_miss, q)), y_times(y, v_div(F_hit, p)));
    return v_add(hit, miss);
}

/* What output j adds to C, and its derivative. `p` is a, clipped for logarithms; z is given where reads_z. */
FB_INLINE vec cost(fb_loss_name loss, const fb_output *out, ptrdiff_t j, vec z, vec a, vec p, vec y, vec *d)
{
    const int collapsed = is_collapsed(loss, out->activation);
    const vec zero = v_set(0), one = v_set(1), r = v_sub(a, y);
    switch (loss) {
    case FB_ABSOLUTE_ERROR: /* |a - y| */
        *d = v_sign(r);
        return v_abs(r);
    case FB_HUBER: { /* m (|r| - m/2), m = min(|r|, parameter): r^2/2 inside, a line outside (Huber, 1964) */
        const vec bound = v_set((real)out->parameter), size = v_abs(r), m = v_min(bound, size);
        *d = v_max(v_sub(zero, bound), v_min(bound, r));
        return v_mul(m, v_fnma(v_set((real)0.5), m, size));
    }
    case FB_QUANTILE: { /* level (y - a) above a, (1 - level) (a - y) below (Koenker and Bassett, 1978) */
        const vec level = v_set((real)out->levels[j]), side = v_sub(v_select(v_less(r, zero), zero, one), level);
        *d = v_mul(v_abs(v_sign(r)), side);
        return v_mul(r, side);
    }
    case FB_POISSON: /* y log(y/a) - y + a, half the deviance */
        *d = collapsed ? r : v_sub(one, v_div(y, a));
        return v_add(v_sub(y_times(y, v_log(v_div(y, a))), y), a);
    case FB_GAMMA:
        return gamma_cost(collapsed, z, a, y, d);
    case FB_LOG_LOSS: /* -y log a */
        *d = collapsed ? r : v_sub(zero, v_div(y, p));
        return v_sub(zero, y_times(y, v_log(p)));
    case FB_BINARY_LOG_LOSS: { /* -y log a - (1 - y) log(1 - a) */
        const vec q = v_sub(one, p);
        *d = collapsed ? r : v_div(v_sub(p, y), v_mul(p, q));
        return v_sub(v_sub(zero, y_times(y, v_log(p))), y_times(v_sub(one, y), v_log(q)));
    }
    case FB_FOCAL: { /* -y (1 - a)^gamma log a */
        vec F;
        const vec term = focal(p, v_sub(one, p), v_set((real)out->parameter), &F);
        *d = v_sub(zero, collapsed ? v_mul(y, F) : y_times(y, v_div(F, p)));
        return y_times(y, term);
    }
    case FB_BINARY_FOCAL:
        return binary_focal_cost(collapsed, a, p, y, v_set((real)out->parameter), d);
    default: /* (a - y)^2 / 2 */
        *d = r;
        return v_mul(v_set((real)0.5), v_mul(r, r));
    }
}
