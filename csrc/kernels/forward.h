/* F: z = a_prev W^T + b, a = f(z). */

static void forward(const fb_layer *layer, const real *a_prev, real *z, real *a, ptrdiff_t n, ptrdiff_t ld)
{
    const ptrdiff_t n_panels = layer->rows / PANEL, K = layer->n_in;
    const int far = K * layer->rows * (ptrdiff_t)sizeof(real) > FAR;
    for (ptrdiff_t k = 0, k_end; k < K; k = k_end) { /* by blocks if far, so that a_prev, too, stays near */
        k_end = block_end(k, K, far ? K_BLOCK : K);
        for (ptrdiff_t j = 0, panels; j < n_panels; j += panels) {
            panels = next_part(n_panels - j, n > 1 ? MAX_PANELS : ROW_PANELS);
            const product p = {.A = a_prev,
                               .A_ld = ld,
                               .B = (const real *)layer->Wt + j * K * PANEL,
                               .B_panel = K * PANEL,
                               .start = (const real *)layer->b + j * PANEL,
                               .start_panel = PANEL,
                               .C = z + j * ld * PANEL,
                               .C_panel = ld * PANEL,
                               .rows = n,
                               .far = far};
            multiply_by_rows(&p, vectors_of(panels, layer->n_out - j * PANEL), k, k_end);
            for (ptrdiff_t i = j; i < j + panels && k_end == K; i++)
                activate(layer->activation, z + i * ld * PANEL, a + i * ld * PANEL, n * PANEL);
        }
    }
}
