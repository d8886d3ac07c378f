/* Matrices into panels and out of them. */

/* lanes[c step + r] = panels[r][c] for r < rows <= LANES and c < n_columns; lanes past `rows` hold zero. */
FB_INLINE void rows_to_lanes(const real *panels, ptrdiff_t ld, ptrdiff_t rows, ptrdiff_t n_columns, real *lanes,
                             ptrdiff_t step)
{
    for (ptrdiff_t c = 0; c < n_columns; c += LANES) {
        const real *block = panels + c / PANEL * ld * PANEL + c % PANEL;
        vec r[LANES];
        FB_UNROLL (int i = 0; i < LANES; i++) r[i] = i < rows ? v_load(block + i * PANEL) : v_set(0);
        v_transpose(r);
        FB_UNROLL (int i = 0; i < LANES; i++) v_store(lanes + (c + i) * step, r[i]);
    }
}

/* The way back: panels[r][c] = lanes[c step + r], in whole vectors of columns. */
FB_INLINE void lanes_to_rows(const real *lanes, ptrdiff_t step, ptrdiff_t ld, ptrdiff_t rows, ptrdiff_t n_columns,
                             real *panels)
{
    for (ptrdiff_t c = 0; c < n_columns; c += LANES) {
        real *block = panels + c / PANEL * ld * PANEL + c % PANEL;
        vec r[LANES];
        FB_UNROLL (int i = 0; i < LANES; i++) r[i] = v_load(lanes + (c + i) * step);
        v_transpose(r);
        FB_UNROLL (int i = 0; i < LANES; i++)
            if (i < rows) v_store(block + i * PANEL, r[i]);
    }
}

/* One row of X, from the element type `source`, into its line of each panel; the last line is padded with zeros. */
#define GATHER(source)                                                                                                 \
    for (ptrdiff_t s = 0; s < n; s++) {                                                                                \
        const char *x = X->data + (order ? order[first + s] : first + s) * X->row_stride;                              \
        for (ptrdiff_t k = 0; k < X->n_columns; k += PANEL) {                                                          \
            real *line = a + k * ld + s * PANEL;                                                                       \
            const ptrdiff_t count = X->n_columns - k < PANEL ? X->n_columns - k : PANEL;                               \
            for (ptrdiff_t i = 0; i < count; i++) line[i] = (real) * (const source *)(x + (k + i) * X->column_stride); \
            for (ptrdiff_t i = count; i < PANEL; i++) line[i] = 0;                                                     \
        }                                                                                                              \
    }

/* Rows of X lie anywhere: how many rows ahead their first lines are asked for, and how many lines; the processor's own
 * prefetcher takes over in longer rows. */
enum { ROWS_AHEAD = 6, LINES_AHEAD = 4 };

static void gather(const fb_rows *X, const int64_t *order, ptrdiff_t first, ptrdiff_t n, real *a, ptrdiff_t ld)
{
    const int contiguous = X->column_stride == sizeof(real) && X->is_float64 == (sizeof(real) == sizeof(double));
    if (contiguous) {
        const ptrdiff_t whole = X->n_columns / PANEL * PANEL, rest = X->n_columns - whole;
        for (ptrdiff_t s = 0; s < n; s++) {
            const real *x = (const real *)(X->data + (order ? order[first + s] : first + s) * X->row_stride);
            if (order && s + ROWS_AHEAD < n)
                for (ptrdiff_t i = 0; i < LINES_AHEAD && i * PANEL < X->n_columns; i++)
                    FB_PREFETCH(X->data + order[first + s + ROWS_AHEAD] * X->row_stride + i * FB_LINE);
            for (ptrdiff_t k = 0; k < whole; k += PANEL)
                FB_UNROLL (int v = 0; v < PANEL; v += LANES) v_store(a + k * ld + s * PANEL + v, v_load(x + k + v));
            if (rest) {
                real *line = a + whole * ld + s * PANEL;
                for (ptrdiff_t i = 0; i < PANEL; i++) line[i] = i < rest ? x[whole + i] : 0;
            }
        }
    } else if (X->is_float64) {
        GATHER(double)
    } else {
        GATHER(float)
    }
}

static void gather_columns(const real *y_rows, ptrdiff_t n_y, const int64_t *order, ptrdiff_t first, ptrdiff_t n,
                           real *y, ptrdiff_t ld)
{
    for (ptrdiff_t j = 0; j < n_y; j++)
        for (ptrdiff_t s = 0; s < n; s++) y[j * ld + s] = y_rows[(order ? order[first + s] : first + s) * n_y + j];
}

static void scatter(const real *a, ptrdiff_t n, ptrdiff_t n_columns, ptrdiff_t ld, real *rows)
{
    for (ptrdiff_t s = 0; s < n; s++)
        for (ptrdiff_t k = 0; k < n_columns; k += PANEL)
            memcpy(rows + s * n_columns + k, a + k * ld + s * PANEL,
                   (size_t)(n_columns - k < PANEL ? n_columns - k : PANEL) * sizeof(real));
}
