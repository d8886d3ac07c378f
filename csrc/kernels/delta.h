/* BP2: delta_prev = (delta W) f'(z_prev). */
static void delta_previous(const fb_layer *layer, fb_activation f_prev, const real *delta, const real *kept,
                           real *delta_prev, ptrdiff_t n, ptrdiff_t ld)
{
    const ptrdiff_t n_panels = (layer->n_in + PANEL - 1) / PANEL, K = layer->n_out, W_panel = layer->rows * PANEL;
    const int far = n_panels * W_panel * (ptrdiff_t)sizeof(real) > FAR;
    for (ptrdiff_t j = 0, j_end; j < K; j = j_end) {
        j_end = block_end(j, K, far ? K_BLOCK : K);
        for (ptrdiff_t k = 0, panels; k < n_panels; k += panels) {
            panels = next_part(n_panels - k, MAX_PANELS);
            const product p = {.A = delta,
                               .A_ld = ld,
                               .B = (const real *)layer->W + k * W_panel,
                               .B_panel = W_panel,
                               .start = ZEROS,
                               .C = delta_prev + k * ld * PANEL,
                               .C_panel = ld * PANEL,
                               .rows = n,
                               .far = far};
            multiply_by_rows(&p, vectors_of(panels, layer->n_in - k * PANEL), j, j_end);
            for (ptrdiff_t i = k; i < k + panels && j_end == K; i++)
                derive(f_prev, kept + i * ld * PANEL, delta_prev + i * ld * PANEL, n * PANEL);
        }
    }
}
