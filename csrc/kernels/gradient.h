/* BP4: dW = delta^T a_prev, and BP3: db = sum over the rows of delta. Both for one panel of delta. */
static void gradient(const real *delta, const real *a_prev, ptrdiff_t n, ptrdiff_t ld, ptrdiff_t n_rows,
                     ptrdiff_t n_columns, real *dW, ptrdiff_t dW_ld)
{
    const ptrdiff_t n_panels = (n_columns + PANEL - 1) / PANEL;
    for (ptrdiff_t k = 0, panels; k < n_panels; k += panels) {
        panels = next_part(n_panels - k, MAX_PANELS);
        const product p = {.A = delta,
                           .B = a_prev + k * ld * PANEL,
                           .B_panel = ld * PANEL,
                           .start = ZEROS,
                           .C = dW + k * dW_ld * PANEL,
                           .C_panel = dW_ld * PANEL,
                           .rows = n_rows};
        multiply_by_columns(&p, vectors_of(panels, n_columns - k * PANEL), n);
    }
    /* The padding of a_prev is anything: that of dW must be zero, so that U leaves that of W zero. */
    real *last = dW + (n_panels - 1) * dW_ld * PANEL;
    for (ptrdiff_t k = n_columns - (n_panels - 1) * PANEL; k < PANEL; k++)
        for (ptrdiff_t j = 0; j < n_rows; j++) last[j * PANEL + k] = 0;
}

static void bias_gradient(const real *delta, ptrdiff_t n, ptrdiff_t n_rows, real *db)
{
    for (ptrdiff_t v = 0; v < PANEL; v += LANES) {
        vec sum[4] = {v_set(0), v_set(0), v_set(0), v_set(0)};
        ptrdiff_t s = 0;
        for (; s + 4 <= n; s += 4)
            FB_UNROLL (int i = 0; i < 4; i++) sum[i] = v_add(sum[i], v_load(delta + (s + i) * PANEL + v));
        for (; s < n; s++) sum[s % 4] = v_add(sum[s % 4], v_load(delta + s * PANEL + v));
        v_store(db + v, v_add(v_add(sum[0], sum[1]), v_add(sum[2], sum[3])));
    }
    for (ptrdiff_t j = n_rows; j < PANEL; j++) db[j] = 0;
}
