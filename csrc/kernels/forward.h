/* F: z = a_prev W^T + b, a = f(z). */

/* Up to this many outputs, lanes run over the rows, not over the outputs, most of which would be padding. */
enum { NARROW = PANEL / 2 };

/* z of PANEL rows (fewer at the end) of a narrow layer: a_prev is transposed, block by block, into lines of rows. */
static void forward_narrow(const fb_layer *layer, const real *a_prev, real *z, ptrdiff_t rows, ptrdiff_t ld)
{
    real lines[K_BLOCK * PANEL], z_lanes[PANEL * PANEL];
    const real *b = layer->b;
    for (ptrdiff_t j = 0; j < PANEL; j++)
        for (ptrdiff_t s = 0; s < PANEL; s++) z_lanes[j * PANEL + s] = b[j];

    for (ptrdiff_t k = 0; k < layer->n_in; k += K_BLOCK) {
        const ptrdiff_t count = layer->n_in - k < K_BLOCK ? layer->n_in - k : K_BLOCK;
        for (ptrdiff_t v = 0; v < PANEL; v += LANES)
            rows_to_lanes(a_prev + k * ld + v * PANEL, ld, rows - v, count, lines + v, PANEL);
        const product p = {.A = (const real *)layer->Wt + k * PANEL,
                           .B = lines,
                           .start = z_lanes,
                           .start_row = PANEL,
                           .C = z_lanes,
                           .rows = layer->n_out};
        multiply_by_columns(&p, 1, count);
    }
    for (ptrdiff_t v = 0; v < rows; v += LANES)
        lanes_to_rows(z_lanes + v, PANEL, ld, rows - v, layer->n_out, z + v * PANEL);
}

static void forward(const fb_layer *layer, const real *a_prev, real *z, real *a, ptrdiff_t n, ptrdiff_t ld)
{
    if (layer->n_out <= NARROW && n > 1) {
        for (ptrdiff_t s = 0; s < n; s += PANEL)
            forward_narrow(layer, a_prev + s * PANEL, z + s * PANEL, n - s < PANEL ? n - s : PANEL, ld);
        activate(layer->activation, z, a, n * PANEL);
        return;
    }
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
            multiply_by_rows(&p, panels, k, k_end);
            for (ptrdiff_t i = j; i < j + panels && k_end == K; i++)
                activate(layer->activation, z + i * ld * PANEL, a + i * ld * PANEL, n * PANEL);
        }
    }
}
