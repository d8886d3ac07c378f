/* BP2: delta_prev = (delta W) f'(z_prev). */
static void delta_previous(const fb_layer *layer, fb_activation f_prev, const real *delta, const real *kept,
                           real *delta_prev, ptrdiff_t n, ptrdiff_t ld)
{
    const ptrdiff_t n_panels = (layer->n_in + PANEL - 1) / PANEL;
    for (ptrdiff_t k = 0, panels; k < n_panels; k += panels) {
        panels = next_part(n_panels - k, MAX_PANELS);
        const product p = {.A = delta, .A_ld = ld, .B = (const real *)layer->W + k * layer->rows * PANEL,
                           .B_panel = layer->rows * PANEL, .start = ZEROS, .C = delta_prev + k * ld * PANEL,
                           .C_panel = ld * PANEL, .rows = n, .K = layer->n_out};
        multiply_by_rows(&p, panels);
        for (ptrdiff_t i = k; i < k + panels; i++)
            derive(f_prev, kept + i * ld * PANEL, delta_prev + i * ld * PANEL, n * PANEL);
    }
}
