/* U: g = (dW + alpha W) / sum of weights, then one step of the optimizer; and the mirror Wt of W. */

/* Moments below the normal range are zeroed: subnormal arithmetic is slow, and a flush-to-zero mode differs between
 * processors. */
FB_INLINE vec without_subnormal(vec x) { return v_select(v_less(v_abs(x), v_set(SMALLEST_NORMAL)), v_set(0), x); }

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

/* Stores the new W, and its square where update() sums them. */
FB_INLINE void store_updated(vec updated, real *W, real *square)
{
    v_store(W, updated);
    v_store(square, v_fma(updated, updated, v_load(square)));
}

/* x[i..], while the line `count` further on is asked for, of the panel's next block: large weights lie beyond L2. */
FB_INLINE vec load_ahead(const real *x, ptrdiff_t i, ptrdiff_t count)
{
    FB_PREFETCH(x + i + count);
    return v_load(x + i);
}

/* Velocity v (in m): v = momentum v - eta g; W += v, or with Nesterov W += momentum v - eta g. */
FB_INLINE void step_sgd(int extras, real *W, const real *dW, real *m, ptrdiff_t count, const fb_step *step,
                        real *squares)
{
    const vec eta = v_set((real)step->learning_rate), momentum = v_set((real)step->momentum);
    for (ptrdiff_t i = 0; i < count; i += LANES) {
        const vec w = load_ahead(W, i, count);
        const vec change = v_mul(eta, penalised(step, extras, w, v_load(dW + i)));
        const vec velocity = without_subnormal(v_sub(v_mul(momentum, load_ahead(m, i, count)), change));
        const vec move = step->nesterov ? v_sub(v_mul(momentum, velocity), change) : velocity;
        v_store(m + i, velocity);
        store_updated(v_add(w, extras ? v_fnma(v_set((real)step->decay), w, move) : move), W + i, squares + i % PANEL);
    }
}

/* Kingma and Ba (2015), with the bias correction in eta: m = b1 m + (1-b1) g, v = b2 v + (1-b2) g^2, W -= eta m / (sqrt(v) + eps). */
FB_INLINE void step_adam(int extras, real *W, const real *dW, real *m, real *v, ptrdiff_t count, const fb_step *step,
                         real *squares)
{
    const vec eta = v_set((real)step->learning_rate), epsilon = v_set((real)step->epsilon);
    const vec beta_1 = v_set((real)step->beta_1), rest_1 = v_set((real)(1 - step->beta_1));
    const vec beta_2 = v_set((real)step->beta_2), rest_2 = v_set((real)(1 - step->beta_2));
    for (ptrdiff_t i = 0; i < count; i += LANES) {
        const vec w = load_ahead(W, i, count);
        const vec g = penalised(step, extras, w, v_load(dW + i));
        const vec m_new = without_subnormal(v_fma(beta_1, load_ahead(m, i, count), v_mul(rest_1, g)));
        const vec v_new = without_subnormal(v_fma(beta_2, load_ahead(v, i, count), v_mul(rest_2, v_mul(g, g))));
        const vec move = v_div(v_mul(eta, m_new), v_add(v_sqrt(v_new), epsilon));
        v_store(m + i, m_new);
        v_store(v + i, v_new);
        store_updated(v_sub(w, with_decay(step, extras, w, move)), W + i, squares + i % PANEL);
    }
}

/* Tieleman and Hinton, lecture 6.5 (2012): v = rho v + (1-rho) g^2, W -= eta g / (sqrt(v) + eps). */
FB_INLINE void step_rmsprop(int extras, real *W, const real *dW, real *v, ptrdiff_t count, const fb_step *step,
                            real *squares)
{
    const vec eta = v_set((real)step->learning_rate), epsilon = v_set((real)step->epsilon);
    const vec rho = v_set((real)step->rho), rest = v_set((real)(1 - step->rho));
    for (ptrdiff_t i = 0; i < count; i += LANES) {
        const vec w = load_ahead(W, i, count);
        const vec g = penalised(step, extras, w, v_load(dW + i));
        const vec v_new = without_subnormal(v_fma(rho, load_ahead(v, i, count), v_mul(rest, v_mul(g, g))));
        v_store(v + i, v_new);
        const vec move = v_div(v_mul(eta, g), v_add(v_sqrt(v_new), epsilon));
        store_updated(v_sub(w, with_decay(step, extras, w, move)), W + i, squares + i % PANEL);
    }
}

/* Schedule-free AdamW (Defazio and others, 2024): g is taken at W = y = (1-b1) z + b1 x; v as Adam's; z (in m) takes the step,
 * z -= eta g / (sqrt(v) + eps) + decay y, and x (the average) follows it, x += share (z - x). */
FB_INLINE void step_schedule_free(real *W, const real *dW, real *z, real *v, real *x, ptrdiff_t count,
                                  const fb_step *step, real *squares)
{
    const vec eta = v_set((real)step->learning_rate), epsilon = v_set((real)step->epsilon);
    const vec rest_1 = v_set((real)(1 - step->beta_1)), share = v_set((real)step->average);
    const vec beta_2 = v_set((real)step->beta_2), rest_2 = v_set((real)(1 - step->beta_2));
    for (ptrdiff_t i = 0; i < count; i += LANES) {
        const vec y = load_ahead(W, i, count), x_old = load_ahead(x, i, count);
        const vec g = penalised(step, 1, y, v_load(dW + i));
        const vec v_new = without_subnormal(v_fma(beta_2, load_ahead(v, i, count), v_mul(rest_2, v_mul(g, g))));
        const vec move = with_decay(step, 1, y, v_div(v_mul(eta, g), v_add(v_sqrt(v_new), epsilon)));
        const vec z_new = v_sub(load_ahead(z, i, count), move);
        const vec x_new = v_fma(share, v_sub(z_new, x_old), x_old);
        v_store(v + i, v_new);
        v_store(z + i, z_new);
        v_store(x + i, x_new);
        store_updated(v_fma(rest_1, v_sub(z_new, x_new), x_new), W + i, squares + i % PANEL);
    }
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

static double update(real *W, const real *dW, real *m, real *v, real *average, ptrdiff_t n_lines, const fb_step *step)
{
    const ptrdiff_t count = n_lines * PANEL;
    const int extras = step->clip > 0 || step->decay > 0;
    real squares[PANEL] = {0};
    switch (step->solver) {
    case FB_SGD:
        extras ? step_sgd(1, W, dW, m, count, step, squares) : step_sgd(0, W, dW, m, count, step, squares);
        break;
    case FB_ADAM:
        extras ? step_adam(1, W, dW, m, v, count, step, squares) : step_adam(0, W, dW, m, v, count, step, squares);
        break;
    case FB_RMSPROP:
        extras ? step_rmsprop(1, W, dW, v, count, step, squares) : step_rmsprop(0, W, dW, v, count, step, squares);
        break;
    case FB_SCHEDULE_FREE:
        step_schedule_free(W, dW, m, v, average, count, step, squares);
        break;
    }
    if (average && step->solver != FB_SCHEDULE_FREE) follow(average, W, count, step);
    return sum_line(squares);
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

/* The sum of W^2 as update() returns it. */
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
