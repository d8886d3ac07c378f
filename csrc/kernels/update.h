/* U: g = (dW + alpha W) / sum of weights, then one step of the optimizer; and the mirror Wt of W. */

/* Moments below the normal range are zeroed: subnormal arithmetic is slow, and a flush-to-zero mode differs between
 * processors. */
FB_INLINE vec without_subnormal(vec x) { return v_unless(v_less(v_abs(x), v_set(SMALLEST_NORMAL)), x); }

/* The sum of a line's elements, in order. */
static double sum_line(const real *line)
{
    double sum = 0;
    for (int i = 0; i < PANEL; i++) sum += (double)line[i];
    return sum;
}

/* g = (dW + alpha W) scale, limited to [-clip, clip] if asked to; NaN stays. */
FB_INLINE vec penalised(const fb_step *step, int limited, vec w, vec dW)
{
    const vec g = v_mul(v_fma(v_set((real)step->alpha), w, dW), v_set((real)step->scale));
    return limited && step->clip > 0 ? v_max(v_set(-(real)step->clip), v_min(v_set((real)step->clip), g)) : g;
}

/* The move against the gradient with the weight decay, decoupled from it (Loshchilov and Hutter, 2019). Of W (1 - decay)
 * the bracket would be rounded to a multiple of epsilon, which is more than a small decay. */
FB_INLINE vec with_decay(const fb_step *step, int decays, vec w, vec move)
{
    return decays ? v_fma(v_set((real)step->decay), w, move) : move;
}

/* The second moment of the gradient: v = beta v + (1 - beta) g^2. */
FB_INLINE vec second_moment(double beta, vec g, real *v)
{
    const vec rest = v_set((real)(1 - beta));
    const vec v_new = without_subnormal(v_fma(v_set((real)beta), v_load(v), v_mul(rest, v_mul(g, g))));
    v_store(v, v_new);
    return v_new;
}

/* eta x / (sqrt(v) + eps) */
FB_INLINE vec adapted(const fb_step *step, vec x, vec v)
{
    return v_div(v_mul(v_set((real)step->learning_rate), x), v_add(v_sqrt(v), v_set((real)step->epsilon)));
}

/* The optimizers' equations for one vector: the new W from W = w and g; the state, beside W, is changed in place. */

/* Velocity v (in m): v = momentum v - eta g; W += v, or with Nesterov W += momentum v - eta g. */
FB_INLINE vec step_sgd(const fb_step *step, int extras, vec w, vec g, real *m)
{
    const vec momentum = v_set((real)step->momentum), change = v_mul(v_set((real)step->learning_rate), g);
    const vec velocity = without_subnormal(v_sub(v_mul(momentum, v_load(m)), change));
    const vec move = step->nesterov ? v_sub(v_mul(momentum, velocity), change) : velocity;
    v_store(m, velocity);
    return v_add(w, extras ? v_fnma(v_set((real)step->decay), w, move) : move);
}

/* Kingma and Ba (2015), with the bias correction in eta: m = b1 m + (1-b1) g, v = b2 v + (1-b2) g^2, W -= eta m / (sqrt(v) + eps). */
FB_INLINE vec step_adam(const fb_step *step, int extras, vec w, vec g, real *m, real *v)
{
    const vec beta_1 = v_set((real)step->beta_1), rest_1 = v_set((real)(1 - step->beta_1));
    const vec m_new = without_subnormal(v_fma(beta_1, v_load(m), v_mul(rest_1, g)));
    v_store(m, m_new);
    return v_sub(w, with_decay(step, extras, w, adapted(step, m_new, second_moment(step->beta_2, g, v))));
}

/* Tieleman and Hinton, lecture 6.5 (2012): v = rho v + (1-rho) g^2, W -= eta g / (sqrt(v) + eps). */
FB_INLINE vec step_rmsprop(const fb_step *step, int extras, vec w, vec g, real *v)
{
    return v_sub(w, with_decay(step, extras, w, adapted(step, g, second_moment(step->rho, g, v))));
}

/* Schedule-free AdamW (Defazio and others, 2024): g is taken at W = y = (1-b1) z + b1 x; v as Adam's; z (in m) takes the step,
 * z -= eta g / (sqrt(v) + eps) + decay y, and x (the average) follows it, x += share (z - x). */
FB_INLINE vec step_schedule_free(const fb_step *step, vec y, vec g, real *z, real *v, real *x)
{
    const vec x_old = v_load(x);
    const vec move = with_decay(step, 1, y, adapted(step, g, second_moment(step->beta_2, g, v)));
    const vec z_new = v_sub(v_load(z), move);
    const vec x_new = v_fma(v_set((real)step->average), v_sub(z_new, x_old), x_old);
    v_store(z, z_new);
    v_store(x, x_new);
    return v_fma(v_set((real)(1 - step->beta_1)), v_sub(z_new, x_new), x_new);
}

/* The sum of W^2: column by column, then the columns in order. */
static double sum_squares(const real *W, ptrdiff_t n_lines)
{
    real squares[PANEL] = {0};
    for (ptrdiff_t i = 0; i < n_lines * PANEL; i += LANES) {
        const vec w = v_load(W + i);
        v_store(squares + i % PANEL, v_fma(w, w, v_load(squares + i % PANEL)));
    }
    return sum_line(squares);
}

/* The same sum, of at most PANEL lines that are the columns, by transposes in registers. */
static double sum_squares_by_inputs(const real *W, ptrdiff_t n_lines)
{
    real squares[PANEL];
    for (ptrdiff_t k = 0; k < PANEL; k += LANES) {
        vec sum = v_set(0);
        for (ptrdiff_t j = 0; j < PANEL; j += LANES) {
            vec r[LANES];
            FB_UNROLL (int i = 0; i < LANES; i++) r[i] = k + i < n_lines ? v_load(W + (k + i) * PANEL + j) : v_set(0);
            v_transpose(r);
            FB_UNROLL (int i = 0; i < LANES; i++) sum = v_fma(r[i], r[i], sum);
        }
        v_store(squares + k, sum);
    }
    return sum_line(squares);
}

/* One optimizer on n_lines lines; the sum of squares of the new W. Of each line it asks for the one n_lines further on,
 * in the panel's next block: large weights lie beyond L2. */
FB_INLINE double update_by(fb_solver solver, int extras, real *W, const real *dW, real *m, real *v, real *x,
                           ptrdiff_t n_lines, int by_inputs, const fb_step *given)
{
    const fb_step step = *given; /* a copy, which no store can change: its constants stay in registers */
    const ptrdiff_t count = n_lines * PANEL;
    vec squares[VECS];
    real sums[PANEL];
    for (int i = 0; i < VECS; i++) squares[i] = v_set(0);
    for (ptrdiff_t line = 0; line < count; line += PANEL) {
        FB_PREFETCH(W + line + count);
        if (solver != FB_RMSPROP) FB_PREFETCH(m + line + count);
        if (solver != FB_SGD) FB_PREFETCH(v + line + count);
        if (solver == FB_SCHEDULE_FREE) FB_PREFETCH(x + line + count);
        for (int j = 0; j < VECS; j++) {
            const ptrdiff_t i = line + j * LANES;
            const vec w = v_load(W + i), g = penalised(&step, extras, w, v_load(dW + i));
            const vec w_new = solver == FB_SGD       ? step_sgd(&step, extras, w, g, m + i)
                              : solver == FB_ADAM    ? step_adam(&step, extras, w, g, m + i, v + i)
                              : solver == FB_RMSPROP ? step_rmsprop(&step, extras, w, g, v + i)
                                                     : step_schedule_free(&step, w, g, m + i, v + i, x + i);
            v_store(W + i, w_new);
            if (!by_inputs) squares[j] = v_fma(w_new, w_new, squares[j]);
        }
    }
    if (by_inputs) return sum_squares_by_inputs(W, n_lines);
    for (int j = 0; j < VECS; j++) v_store(sums + j * LANES, squares[j]);
    return sum_line(sums);
}

/* The exponential moving average of W: average += share (W - average). */
static void follow(real *average, const real *W, ptrdiff_t count, const fb_step *step)
{
    const vec share = v_set((real)step->average);
    for (ptrdiff_t i = 0; i < count; i += LANES) {
        const vec old = v_load(average + i);
        v_store(average + i, v_fma(share, v_sub(v_load(W + i), old), old));
    }
}

static double update(real *W, const real *dW, real *m, real *v, real *average, ptrdiff_t n_lines, int by_inputs,
                     const fb_step *step)
{
#define BY(solver, extras) update_by(solver, extras, W, dW, m, v, average, n_lines, by_inputs, step)
    const int extras = step->clip > 0 || step->decay > 0;
    double squares = 0;
    switch (step->solver) {
    case FB_SGD:
        squares = extras ? BY(FB_SGD, 1) : BY(FB_SGD, 0);
        break;
    case FB_ADAM:
        squares = extras ? BY(FB_ADAM, 1) : BY(FB_ADAM, 0);
        break;
    case FB_RMSPROP:
        squares = extras ? BY(FB_RMSPROP, 1) : BY(FB_RMSPROP, 0);
        break;
    case FB_SCHEDULE_FREE:
        return BY(FB_SCHEDULE_FREE, 1);
    }
#undef BY
    if (average) follow(average, W, n_lines * PANEL, step);
    return squares;
}

/* The sum of g^2, as it is before any limit, for the norm of the gradient: in double, for a gradient that must be clipped
 * may be large. Column by column, then the columns in order. */
static double gradient_squares(const real *W, const real *dW, ptrdiff_t n_lines, const fb_step *step)
{
    double squares[PANEL] = {0}, sum = 0;
    for (ptrdiff_t i = 0; i < n_lines * PANEL; i += LANES) {
        real g[LANES];
        v_store(g, penalised(step, 0, v_load(W + i), v_load(dW + i)));
        for (ptrdiff_t c = 0; c < LANES; c++) squares[i % PANEL + c] += (double)g[c] * (double)g[c];
    }
    for (ptrdiff_t c = 0; c < PANEL; c++) sum += squares[c];
    return sum;
}

/* The same sum, of lines that are the columns. */
static double gradient_squares_by_inputs(const real *W, const real *dW, ptrdiff_t n_lines, const fb_step *step)
{
    double sum = 0;
    for (ptrdiff_t i = 0; i < n_lines; i++) {
        real g[PANEL];
        double squares = 0;
        for (ptrdiff_t v = 0; v < PANEL; v += LANES)
            v_store(g + v, penalised(step, 0, v_load(W + i * PANEL + v), v_load(dW + i * PANEL + v)));
        for (ptrdiff_t j = 0; j < PANEL; j++) squares += (double)g[j] * (double)g[j];
        sum += squares;
    }
    return sum;
}

/* Wt[k.., j..] = W[j.., k..]^T for one PANEL x PANEL block, by transposes in registers. */
static void mirror(const fb_layer *layer, ptrdiff_t j, ptrdiff_t k)
{
    const real *W = (const real *)layer->W + k * layer->rows + j * PANEL;
    real *Wt = (real *)layer->Wt + j * layer->n_in + k * PANEL;
    const ptrdiff_t n_k = layer->n_in - k < PANEL ? layer->n_in - k : PANEL;
    for (ptrdiff_t jj = 0; jj < PANEL; jj += LANES)
        for (ptrdiff_t kk = 0; kk < n_k; kk += LANES) {
            vec r[LANES];
            FB_UNROLL (int i = 0; i < LANES; i++) r[i] = v_load(W + (jj + i) * PANEL + kk);
            v_transpose(r);
            FB_UNROLL (int i = 0; i < LANES; i++)
                if (kk + i < n_k) v_store(Wt + (kk + i) * PANEL + jj, r[i]);
        }
}
