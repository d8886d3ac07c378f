/* BP1: the output activation, the loss C of each row and delta[L], side by side.
 *
 * LANES rows at a time, a row in each lane: `lanes` arrays are [column][LANES], and whatever n_out is, no lane is padding. */

/* The lanes of `rows` <= LANES consecutive elements; the rest zero. */
FB_INLINE vec load_lanes(const real *p, ptrdiff_t rows)
{
    real part[LANES] = {0};
    if (rows >= LANES) return v_load(p);
    for (ptrdiff_t i = 0; i < rows; i++) part[i] = p[i];
    return v_load(part);
}

/* a = e^(z - max z) / sum e^(z - max z), in place, columns in ascending order. */
static void softmax_lanes(real *z, ptrdiff_t n_out)
{
    vec greatest = v_load(z), sum = v_set(0);
    for (ptrdiff_t j = 1; j < n_out; j++) greatest = v_max(greatest, v_load(z + j * LANES));
    for (ptrdiff_t j = 0; j < n_out; j++) {
        const vec e = v_exp(v_sub(v_load(z + j * LANES), greatest));
        v_store(z + j * LANES, e);
        sum = v_add(sum, e);
    }
    for (ptrdiff_t j = 0; j < n_out; j++) v_store(z + j * LANES, v_div(v_load(z + j * LANES), sum));
}

/* delta_j = sum_i g_i da_i/dz_j = a_j (g_j - sum_i g_i a_i), in place of g = dC/da: the Jacobian of softmax times g. */
static void softmax_jacobian_lanes(const real *a, real *g, ptrdiff_t n_out)
{
    vec sum = v_set(0);
    for (ptrdiff_t j = 0; j < n_out; j++) sum = v_fma(v_load(g + j * LANES), v_load(a + j * LANES), sum);
    for (ptrdiff_t j = 0; j < n_out; j++)
        v_store(g + j * LANES, v_mul(v_load(a + j * LANES), v_sub(v_load(g + j * LANES), sum)));
}

/* a = f(z) for the output layer, in place. */
static void output_lanes(const fb_output *out, real *z)
{
    if (out->activation == FB_SOFTMAX) {
        softmax_lanes(z, out->n_out);
        return;
    }
    for (ptrdiff_t j = 0; j < out->n_out; j++) v_store(z + j * LANES, f(out->activation, v_load(z + j * LANES)));
}

/* What one output adds to C, and dC/da. `p` is a, clipped for logarithms. */
FB_INLINE vec cost(fb_loss_name loss, vec a, vec p, vec y, vec *dC_da)
{
    const vec zero = v_set(0), one = v_set(1);
    switch (loss) {
    case FB_LOG_LOSS: /* -y log a */
        *dC_da = v_sub(zero, v_div(y, p));
        return v_select(v_equal(y, zero), zero, v_sub(zero, v_mul(y, v_log(p))));
    case FB_BINARY_LOG_LOSS: { /* -y log a - (1 - y) log(1 - a) */
        const vec q = v_sub(one, p), not_y = v_sub(one, y);
        *dC_da = v_div(v_sub(p, y), v_mul(p, q));
        const vec hit = v_select(v_equal(y, zero), zero, v_mul(y, v_log(p)));
        const vec miss = v_select(v_equal(not_y, zero), zero, v_mul(not_y, v_log(q)));
        return v_sub(v_sub(zero, hit), miss);
    }
    case FB_POISSON: /* y log(y/a) - y + a, half the deviance */
        *dC_da = v_sub(one, v_div(y, a));
        return v_add(v_sub(v_select(v_equal(y, zero), zero, v_mul(y, v_log(v_div(y, a)))), y), a);
    default: /* (a - y)^2 / 2 */
        *dC_da = v_sub(a, y);
        return v_mul(v_set((real)0.5), v_mul(*dC_da, *dC_da));
    }
}

/* Whether BP1 collapses to delta = a - y. */
static int is_collapsed(const fb_output *out)
{
    return (out->activation == FB_SOFTMAX && out->loss == FB_LOG_LOSS) ||
           (out->activation == FB_LOGISTIC && out->loss == FB_BINARY_LOG_LOSS) ||
           (out->activation == FB_IDENTITY && out->loss == FB_SQUARED_ERROR) ||
           (out->activation == FB_EXP && out->loss == FB_POISSON);
}

/* C of LANES rows, and delta[L]. y: column j at y + j ld. */
static vec loss_lanes(const fb_output *out, const real *a, const real *y, ptrdiff_t ld, ptrdiff_t rows, real *delta)
{
    const vec zero = v_set(0), one = v_set(1), low = v_set((real)out->clip), high = v_set((real)1 - (real)out->clip);
    const int collapsed = is_collapsed(out), one_log = out->y_is_class && out->loss == FB_LOG_LOSS && collapsed;
    const vec y_class = load_lanes(y, rows);
    vec C = zero, p_class = one;

    for (ptrdiff_t j = 0; j < out->n_out; j++) {
        const vec a_j = v_load(a + j * LANES), p = out->clip > 0 ? v_max(low, v_min(high, a_j)) : a_j;
        const mask hit = v_equal(y_class, v_set((real)j));
        const vec y_j = out->y_is_class ? v_select(hit, one, zero) : load_lanes(y + j * ld, rows);
        vec dC_da = zero;
        if (one_log)
            p_class = v_select(hit, p, p_class);
        else
            C = v_add(C, cost(out->loss, a_j, p, y_j, &dC_da));
        if (collapsed)
            v_store(delta + j * LANES, v_sub(a_j, y_j));
        else if (out->activation == FB_SOFTMAX)
            v_store(delta + j * LANES, dC_da);
        else
            v_store(delta + j * LANES, times_f_prime(out->activation, dC_da, a_j));
    }
    if (out->activation == FB_SOFTMAX && !collapsed) softmax_jacobian_lanes(a, delta, out->n_out);
    return one_log ? v_sub(zero, v_log(p_class)) : C;
}

static ptrdiff_t lanes_width(ptrdiff_t n_out) { return (n_out + LANES - 1) / LANES * LANES; }

static void output(const fb_output *out, const real *z, real *a, real *scratch, ptrdiff_t n, ptrdiff_t ld)
{
    for (ptrdiff_t s = 0; s < n; s += LANES) {
        rows_to_lanes(z + s * PANEL, ld, n - s, out->n_out, scratch, LANES);
        output_lanes(out, scratch);
        lanes_to_rows(scratch, LANES, ld, n - s, out->n_out, a + s * PANEL);
    }
}

static void loss(const fb_output *out, const real *z, const real *y, const real *w, real *a, real *delta, double *losses,
                 real *scratch, ptrdiff_t n, ptrdiff_t ld)
{
    const ptrdiff_t width = lanes_width(out->n_out);
    real *a_lanes = scratch, *delta_lanes = scratch + width * LANES, C[LANES];
    for (ptrdiff_t i = out->n_out * LANES; i < width * LANES; i++) delta_lanes[i] = 0;

    for (ptrdiff_t s = 0; s < n; s += LANES) {
        const ptrdiff_t rows = n - s < LANES ? n - s : LANES;
        rows_to_lanes(z + s * PANEL, ld, rows, out->n_out, a_lanes, LANES);
        output_lanes(out, a_lanes);
        vec cost_of_row = loss_lanes(out, a_lanes, y + s, ld, rows, delta_lanes);
        if (w) {
            const vec weight = load_lanes(w + s, rows);
            cost_of_row = v_mul(weight, cost_of_row);
            for (ptrdiff_t j = 0; j < out->n_out; j++)
                v_store(delta_lanes + j * LANES, v_mul(weight, v_load(delta_lanes + j * LANES)));
        }
        lanes_to_rows(a_lanes, LANES, ld, rows, out->n_out, a + s * PANEL);
        lanes_to_rows(delta_lanes, LANES, ld, rows, out->n_out, delta + s * PANEL);
        v_store(C, cost_of_row);
        for (ptrdiff_t i = 0; i < rows; i++) losses[s + i] = (double)C[i];
    }
}

/* delta = J delta for rows of softmax outputs a. */
static void softmax_derive(const real *a, real *delta, real *scratch, ptrdiff_t n, ptrdiff_t n_out, ptrdiff_t ld)
{
    real *a_lanes = scratch, *delta_lanes = scratch + lanes_width(n_out) * LANES;
    for (ptrdiff_t s = 0; s < n; s += LANES) {
        rows_to_lanes(a + s * PANEL, ld, n - s, n_out, a_lanes, LANES);
        rows_to_lanes(delta + s * PANEL, ld, n - s, n_out, delta_lanes, LANES);
        softmax_jacobian_lanes(a_lanes, delta_lanes, n_out);
        lanes_to_rows(delta_lanes, LANES, ld, n - s, n_out, delta + s * PANEL);
    }
}
