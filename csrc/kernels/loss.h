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

/* delta_j = h_j - a_j sum_i h_i, in place of h_i = a_i dC/da_i: the same, of a loss that is written without 1 / a_i. */
static void softmax_deviation_lanes(const real *a, real *h, ptrdiff_t n_out)
{
    vec sum = v_set(0);
    for (ptrdiff_t j = 0; j < n_out; j++) sum = v_add(sum, v_load(h + j * LANES));
    for (ptrdiff_t j = 0; j < n_out; j++)
        v_store(h + j * LANES, v_fnma(v_load(a + j * LANES), sum, v_load(h + j * LANES)));
}

/* a = f(z) for the output layer, in place. */
static void output_lanes(const fb_output *out, real *z)
{
    if (out->activation == FB_SOFTMAX) {
        softmax_lanes(z, out->n_out);
        return;
    }
    activate(out->activation, z, z, out->n_out * LANES);
}

/* Logarithms take a in [clip, 1 - clip], so that being wrong for sure costs a finite amount. */
FB_INLINE vec clipped(const fb_output *out, vec a)
{
    const vec low = v_set((real)out->clip), high = v_set((real)1 - (real)out->clip);
    return out->clip > 0 ? v_max(low, v_min(high, a)) : a;
}

/* C of LANES rows, and delta[L]. y: column j at y + j ld. On entry delta holds z where reads_z. */
FB_INLINE vec loss_lanes(fb_loss_name loss, const fb_output *out, const real *a, const real *y, ptrdiff_t ld,
                         ptrdiff_t rows, real *delta)
{
    const vec zero = v_set(0), one = v_set(1), y_class = load_lanes(y, rows);
    const ptrdiff_t n_classes = classes(loss, out->n_out);
    const int collapsed = is_collapsed(loss, out->activation), smooth = n_classes > 0 && out->smoothing > 0;
    const vec keep = v_set((real)(1 - out->smoothing)), share = v_set(smooth ? (real)(out->smoothing / n_classes) : 0);
    const double *class_weight = out->class_weights;
    vec C = zero;

    for (ptrdiff_t j = 0; j < out->n_out; j++) {
        const vec a_j = v_load(a + j * LANES), z_j = v_load(delta + j * LANES);
        const vec y_j =
            out->y_is_class ? v_select(v_equal(y_class, v_set((real)j)), one, zero) : load_lanes(y + j * ld, rows);
        vec d, C_j = cost(loss, out, j, z_j, a_j, clipped(out, a_j), smooth ? v_fma(y_j, keep, share) : y_j, &d);
        if (class_weight) { /* exact at y = 0 and at y = 1 */
            const vec at_0 = v_set((real)class_weight[2 * j]), at_1 = v_set((real)class_weight[2 * j + 1]);
            const vec weight = v_fma(y_j, at_1, v_mul(v_sub(one, y_j), at_0));
            C_j = v_mul(weight, C_j);
            d = v_mul(weight, d);
        }
        C = v_add(C, C_j);
        v_store(delta + j * LANES, d);
    }
    if (out->activation != FB_SOFTMAX && !collapsed) derive(out->activation, a, delta, out->n_out * LANES);
    if (out->activation == FB_SOFTMAX && !collapsed) softmax_jacobian_lanes(a, delta, out->n_out);
    if (out->activation == FB_SOFTMAX && loss == FB_FOCAL) softmax_deviation_lanes(a, delta, out->n_out);
    return C;
}

/* The same where y is the class c of a row, and softmax leaves C the one term of a_c. The log loss -log a_c has
 * delta = a - y; the focal loss has F (a - y). */
static vec loss_of_class_lanes(const fb_output *out, const real *a, const real *y, ptrdiff_t rows, real *delta)
{
    const vec zero = v_set(0), one = v_set(1), y_class = load_lanes(y, rows);
    vec a_class = one, F;
    for (ptrdiff_t j = 0; j < out->n_out; j++) {
        const vec a_j = v_load(a + j * LANES);
        const mask hit = v_equal(y_class, v_set((real)j));
        a_class = v_select(hit, a_j, a_class);
        v_store(delta + j * LANES, v_sub(a_j, v_select(hit, one, zero)));
    }
    const vec p = clipped(out, a_class);
    if (out->loss == FB_LOG_LOSS) return v_sub(zero, v_log(p));
    const vec C = focal(p, v_sub(one, p), v_set((real)out->parameter), &F);
    for (ptrdiff_t j = 0; j < out->n_out; j++) v_store(delta + j * LANES, v_mul(F, v_load(delta + j * LANES)));
    return C;
}

/* Either, by what y is; each loss has its own loop. */
static vec loss_of_lanes(const fb_output *out, const real *a, const real *y, ptrdiff_t ld, ptrdiff_t rows, real *delta)
{
#define CASE(LOSS)                                                                                                     \
    case LOSS:                                                                                                         \
        return loss_lanes(LOSS, out, a, y, ld, rows, delta);
    if (out->y_is_class && out->activation == FB_SOFTMAX && is_collapsed(out->loss, FB_SOFTMAX) &&
        !(out->smoothing > 0))
        return loss_of_class_lanes(out, a, y, rows, delta);
    switch (out->loss) {
        LOSSES(CASE)
    default:
        return v_set(0);
    }
#undef CASE
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

static void loss(const fb_output *out, const real *z, const real *y, const real *w, real *a, real *delta,
                 double *losses, real *scratch, ptrdiff_t n, ptrdiff_t ld)
{
    const ptrdiff_t width = lanes_width(out->n_out);
    real *a_lanes = scratch, *delta_lanes = scratch + width * LANES, C[LANES];
    for (ptrdiff_t i = out->n_out * LANES; i < width * LANES; i++) delta_lanes[i] = 0;

    for (ptrdiff_t s = 0; s < n; s += LANES) {
        const ptrdiff_t rows = n - s < LANES ? n - s : LANES;
        rows_to_lanes(z + s * PANEL, ld, rows, out->n_out, a_lanes, LANES);
        if (reads_z(out->loss, out->activation))
            memcpy(delta_lanes, a_lanes, (size_t)(out->n_out * LANES) * sizeof(real));
        output_lanes(out, a_lanes);
        vec cost_of_row = loss_of_lanes(out, a_lanes, y + s, ld, rows, delta_lanes);
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
