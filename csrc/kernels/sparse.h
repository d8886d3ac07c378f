/* The first layer on the nonzeros of a sparse X. The chains of fma are those of the dense kernels without the terms that
 * are zero, so the results are the same. */

FB_INLINE int64_t index_at(const void *indices, int is_int64, int64_t i)
{
    return is_int64 ? ((const int64_t *)indices)[i] : ((const int32_t *)indices)[i];
}
FB_INLINE int64_t row_start(const fb_csr *X, int64_t row) { return index_at(X->starts, X->is_int64, row); }
FB_INLINE int64_t column_at(const fb_csr *X, int64_t i) { return index_at(X->columns, X->is_int64, i); }

/* X[row][k], its i-th nonzero, after dropout; key: of the row. */
FB_INLINE real value_at(const fb_csr *X, int64_t i, const fb_dropout *drop, uint64_t key, int64_t k)
{
    const real x = X->is_float64 ? (real)((const double *)X->values)[i] : (real)((const float *)X->values)[i];
    if (!drop) return x;
    const real scaled = x * keep_scale(drop);
    return unit_bits(key, k) < drop_below(drop) ? 0 : scaled;
}

/* Nonzeros of a row that are read at once, panels of outputs that pass by them at once, and how many nonzeros ahead their
 * lines are asked for. */
enum { NONZEROS = 128, PANELS_AT_ONCE = 4, NONZEROS_AHEAD = 32 };

/* z[p][.] += sum_i x[i] Wt[p][column[i]][.] for `panels` panels of outputs. */
FB_INLINE void chain_sparse(int panels, const real *x, const int64_t *column, ptrdiff_t count, const real *Wt,
                            ptrdiff_t Wt_panel, real *z, ptrdiff_t z_panel)
{
    vec acc[PANELS_AT_ONCE * VECS];
    FB_UNROLL (int v = 0; v < panels * VECS; v++) acc[v] = v_load(z + v / VECS * z_panel + v % VECS * LANES);
    for (ptrdiff_t i = 0; i < count; i++) {
        const vec x_i = v_set(x[i]);
        const real *line = Wt + column[i] * PANEL;
        if (i + NONZEROS_AHEAD < count)
            FB_UNROLL (int p = 0; p < panels; p++) FB_PREFETCH(Wt + column[i + NONZEROS_AHEAD] * PANEL + p * Wt_panel);
        FB_UNROLL (int v = 0; v < panels * VECS; v++)
            acc[v] = v_fma(x_i, v_load(line + v / VECS * Wt_panel + v % VECS * LANES), acc[v]);
    }
    FB_UNROLL (int v = 0; v < panels * VECS; v++) v_store(z + v / VECS * z_panel + v % VECS * LANES, acc[v]);
}

/* F of one row; drop and key: of its inputs. */
static void forward_sparse_row(const fb_layer *layer, const fb_csr *X, int64_t row, const fb_dropout *drop,
                               uint64_t key, real *z, ptrdiff_t ld)
{
    const ptrdiff_t n_panels = layer->rows / PANEL, Wt_panel = layer->n_in * PANEL;
    const int64_t end = row_start(X, row + 1);
    real x[NONZEROS];
    int64_t column[NONZEROS];
    for (ptrdiff_t j = 0; j < n_panels; j++)
        memcpy(z + j * ld * PANEL, (const real *)layer->b + j * PANEL, PANEL * sizeof(real));
    for (int64_t i = row_start(X, row), count; i < end; i += count) {
        count = end - i < NONZEROS ? end - i : NONZEROS;
        for (int64_t e = 0; e < count; e++) {
            column[e] = column_at(X, i + e);
            x[e] = value_at(X, i + e, drop, key, column[e]);
        }
        for (ptrdiff_t j = 0, panels; j < n_panels; j += panels) {
            const real *Wt = (const real *)layer->Wt + j * Wt_panel;
            switch (panels = next_part(n_panels - j, PANELS_AT_ONCE)) {
#define CASE(PANELS)                                                                                                   \
    case PANELS:                                                                                                       \
        chain_sparse(PANELS, x, column, count, Wt, Wt_panel, z + j * ld * PANEL, ld * PANEL);                          \
        break;
                CASE(1) CASE(2) CASE(3) CASE(4)
#undef CASE
            }
        }
    }
}

static void forward_sparse(const fb_layer *layer, const fb_csr *X, const int64_t *order, ptrdiff_t first,
                           const fb_dropout *drop, ptrdiff_t s0, real *z, real *a, ptrdiff_t n, ptrdiff_t ld)
{
    for (ptrdiff_t s = 0; s < n; s++)
        forward_sparse_row(layer, X, order ? order[first + s] : first + s, drop, drop ? row_key(drop, s0 + s) : 0,
                           z + s * PANEL, ld);
    for (ptrdiff_t j = 0; j < layer->rows; j += PANEL) activate(layer->activation, z + j * ld, a + j * ld, n * PANEL);
}

/* The nonzeros of one part of a batch's n rows, sorted by the panel of their input; those of a panel stay row after row.
 * Counted two places on, summed, and then put where the place before begins. */
static void sort_entries(const fb_csr *X, const int64_t *order, ptrdiff_t first, const fb_dropout *drop, ptrdiff_t n,
                         ptrdiff_t part, const fb_sorted *sorted)
{
    const ptrdiff_t begin = n * part / sorted->n_parts, end = n * (part + 1) / sorted->n_parts;
    int64_t *starts = sorted->starts + part * (sorted->n_panels + 2);
    memset(starts, 0, (size_t)(sorted->n_panels + 2) * sizeof(int64_t));
    for (ptrdiff_t s = 0; s < end; s++) {
        const int64_t row = order ? order[first + s] : first + s, row_end = row_start(X, row + 1);
        if (s < begin)
            starts[0] += row_end - row_start(X, row);
        else
            for (int64_t i = row_start(X, row); i < row_end; i++) starts[column_at(X, i) / PANEL + 2]++;
    }
    starts[1] = starts[0];
    for (ptrdiff_t p = 2; p < sorted->n_panels + 2; p++) starts[p] += starts[p - 1];
    for (ptrdiff_t s = begin; s < end; s++) {
        const int64_t row = order ? order[first + s] : first + s, row_end = row_start(X, row + 1);
        const uint64_t key = drop ? row_key(drop, s) : 0;
        for (int64_t i = row_start(X, row); i < row_end; i++) {
            const int64_t k = column_at(X, i);
            const fb_entry entry = {(int32_t)s, (int32_t)(k % PANEL), (double)value_at(X, i, drop, key, k)};
            sorted->entries[starts[k / PANEL + 1]++] = entry;
        }
    }
}

/* BP4 of one panel of delta and one of inputs. */
static void gradient_sparse(const real *delta, const fb_sorted *X, ptrdiff_t panel, ptrdiff_t n_outputs,
                            ptrdiff_t n_inputs, int by_inputs, real *dW)
{
    real sums[PANEL * PANEL], *lines = by_inputs ? dW : sums; /* of outputs, one for each input */
    memset(lines, 0, (size_t)(by_inputs ? n_inputs : PANEL) * FB_LINE);
    for (ptrdiff_t part = 0; part < X->n_parts; part++) {
        const int64_t *starts = X->starts + part * (X->n_panels + 2) + panel;
        for (const fb_entry *e = X->entries + starts[0]; e < X->entries + starts[1]; e++) {
            const real *delta_s = delta + (ptrdiff_t)e->s * PANEL;
            real *line = lines + e->k * PANEL;
            const vec x = v_set((real)e->x);
            FB_UNROLL (int v = 0; v < PANEL; v += LANES)
                v_store(line + v, v_fma(v_load(delta_s + v), x, v_load(line + v)));
        }
    }
    if (!by_inputs) {
        for (ptrdiff_t v = 0; v < PANEL; v += LANES)
            lanes_to_rows(sums + v, PANEL, 0, n_outputs - v, PANEL, dW + v * PANEL);
        return;
    }
    /* The padding of delta is anything: that of dW must be zero. */
    for (ptrdiff_t j = n_outputs; j < PANEL; j++)
        for (ptrdiff_t k = 0; k < n_inputs; k++) dW[k * PANEL + j] = 0;
}
