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

/* Velocity v (in m): v = momentum v - eta g; W += v, or with Nesterov W += momentum v - eta g. */
static void step_sgd(real *W, const real *dW, real *m, ptrdiff_t n_lines, const fb_step *step, real *squares)
{
    const vec alpha = v_set((real)step->alpha), scale = v_set((real)step->scale);
    const vec eta = v_set((real)step->learning_rate), momentum = v_set((real)step->momentum);
    for (ptrdiff_t i = 0; i < n_lines * PANEL; i += LANES) {
        const vec w = v_load(W + i);
        const vec change = v_mul(eta, v_mul(v_fma(alpha, w, v_load(dW + i)), scale));
        const vec velocity = without_subnormal(v_sub(v_mul(momentum, v_load(m + i)), change));
        const vec move = step->nesterov ? v_sub(v_mul(momentum, velocity), change) : velocity;
        const vec updated = v_add(w, move);
        v_store(m + i, velocity);
        v_store(W + i, updated);
        v_store(squares + i % PANEL, v_fma(updated, updated, v_load(squares + i % PANEL)));
    }
}

/* Kingma and Ba (2015), with the bias correction in eta: m = b1 m + (1-b1) g, v = b2 v + (1-b2) g^2, W -= eta m / (sqrt(v) + eps). */
static void step_adam(real *W, const real *dW, real *m, real *v, ptrdiff_t n_lines, const fb_step *step, real *squares)
{
    const vec alpha = v_set((real)step->alpha), scale = v_set((real)step->scale);
    const vec eta = v_set((real)step->learning_rate), epsilon = v_set((real)step->epsilon);
    const vec beta_1 = v_set((real)step->beta_1), rest_1 = v_set((real)(1 - step->beta_1));
    const vec beta_2 = v_set((real)step->beta_2), rest_2 = v_set((real)(1 - step->beta_2));
    for (ptrdiff_t i = 0; i < n_lines * PANEL; i += LANES) {
        const vec w = v_load(W + i);
        const vec g = v_mul(v_fma(alpha, w, v_load(dW + i)), scale);
        const vec m_new = without_subnormal(v_fma(beta_1, v_load(m + i), v_mul(rest_1, g)));
        const vec v_new = without_subnormal(v_fma(beta_2, v_load(v + i), v_mul(rest_2, v_mul(g, g))));
        const vec updated = v_sub(w, v_div(v_mul(eta, m_new), v_add(v_sqrt(v_new), epsilon)));
        v_store(m + i, m_new);
        v_store(v + i, v_new);
        v_store(W + i, updated);
        v_store(squares + i % PANEL, v_fma(updated, updated, v_load(squares + i % PANEL)));
    }
}

static double update(real *W, const real *dW, real *m, real *v, ptrdiff_t n_lines, const fb_step *step)
{
    real squares[PANEL] = {0};
    if (step->solver == FB_ADAM)
        step_adam(W, dW, m, v, n_lines, step, squares);
    else
        step_sgd(W, dW, m, n_lines, step, squares);
    return sum_line(squares);
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

/* Wt[k.., j..] = W[j.., k..]^T for one PANEL x PANEL block, by transposes in registers. */
static void mirror(const fb_layer *layer, ptrdiff_t j, ptrdiff_t k)
{
    const real *W = (const real *)layer->W + k * layer->rows + j * PANEL;
    real *Wt = (real *)layer->Wt + j * layer->n_in + k * PANEL;
    const ptrdiff_t n_k = layer->n_in - k < PANEL ? layer->n_in - k : PANEL;
    for (ptrdiff_t jj = 0; jj < PANEL; jj += LANES)
        for (ptrdiff_t kk = 0; kk < n_k; kk += LANES) {
            vec r[LANES];
            FB_UNROLL for (int i = 0; i < LANES; i++) r[i] = v_load(W + (jj + i) * PANEL + kk);
            v_transpose(r);
            FB_UNROLL for (int i = 0; i < LANES; i++)
                if (kk + i < n_k) v_store(Wt + (kk + i) * PANEL + jj, r[i]);
        }
}
