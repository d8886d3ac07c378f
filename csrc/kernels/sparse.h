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

/* Nonzeros of a row that are read at once, and panels of outputs that pass by them at once. */
enum { NONZEROS = 128, PANELS_AT_ONCE = 4 };

/* z[p][.] += sum_i x[i] Wt[p][column[i]][.] for `panels` panels of outputs. */
FB_INLINE void chain_sparse(int panels, const real *x, const int64_t *column, ptrdiff_t count, const real *Wt, ptrdiff_t Wt_panel,
                            real *z, ptrdiff_t z_panel)
{
    vec acc[PANELS_AT_ONCE * VECS];
    FB_UNROLL for (int v = 0; v < panels * VECS; v++) acc[v] = v_load(z + v / VECS * z_panel + v % VECS * LANES);
    for (ptrdiff_t i = 0; i < count; i++) {
        const vec x_i = v_set(x[i]);
        const real *line = Wt + column[i] * PANEL;
        FB_UNROLL for (int v = 0; v < panels * VECS; v++)
            acc[v] = v_fma(x_i, v_load(line + v / VECS * Wt_panel + v % VECS * LANES), acc[v]);
    }
    FB_UNROLL for (int v = 0; v < panels * VECS; v++) v_store(z + v / VECS * z_panel + v % VECS * LANES, acc[v]);
}

/* F of one row; drop and key: of its inputs. */
static void forward_sparse_row(const fb_layer *layer, const fb_csr *X, int64_t row, const fb_dropout *drop, uint64_t key,
                               real *z, ptrdiff_t ld)
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
        ptrdiff_t j = 0;
        for (; j + PANELS_AT_ONCE <= n_panels; j += PANELS_AT_ONCE)
            chain_sparse(PANELS_AT_ONCE, x, column, count, (const real *)layer->Wt + j * Wt_panel, Wt_panel,
                         z + j * ld * PANEL, ld * PANEL);
        for (; j < n_panels; j++)
            chain_sparse(1, x, column, count, (const real *)layer->Wt + j * Wt_panel, Wt_panel, z + j * ld * PANEL, ld * PANEL);
    }
}

static void forward_sparse(const fb_layer *layer, const fb_csr *X, const int64_t *order, ptrdiff_t first,
                           const fb_dropout *drop, ptrdiff_t s0, real *z, real *a, ptrdiff_t n, ptrdiff_t ld)
{
    for (ptrdiff_t s = 0; s < n; s++)
        forward_sparse_row(layer, X, order ? order[first + s] : first + s, drop, drop ? row_key(drop, s0 + s) : 0, z + s * PANEL,
                           ld);
    for (ptrdiff_t j = 0; j < layer->rows; j += PANEL) activate(layer->activation, z + j * ld, a + j * ld, n * PANEL);
}

/* The first nonzero of a row at column k or after. */
static int64_t lower_bound(const fb_csr *X, int64_t row, ptrdiff_t k)
{
    int64_t low = row_start(X, row), high = row_start(X, row + 1);
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (column_at(X, middle) < k)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The nonzeros of columns k..k + n_columns of the batch, row after row, at most n_columns of each, whatever X holds.
 * positions[s] < 0: row s is yet to be searched. */
static ptrdiff_t collect(const fb_csr *X, const int64_t *order, ptrdiff_t first, const fb_dropout *drop, ptrdiff_t n,
                         ptrdiff_t k, ptrdiff_t n_columns, int64_t *positions, fb_entry *entries)
{
    ptrdiff_t count = 0;
    for (ptrdiff_t s = 0; s < n; s++) {
        const int64_t row = order ? order[first + s] : first + s;
        const uint64_t key = drop ? row_key(drop, s) : 0;
        int64_t i = positions[s] < 0 ? lower_bound(X, row, k) : positions[s], end = row_start(X, row + 1);
        if (end > i + n_columns) end = i + n_columns; /* whatever the matrix: more would not fit into `entries` */
        for (int64_t column; i < end && (column = column_at(X, i)) < k + n_columns; i++)
            entries[count++] = (fb_entry){(int32_t)s, (int32_t)(column - k), (double)value_at(X, i, drop, key, column)};
        positions[s] = i;
    }
    return count;
}

/* BP4 of one panel of delta from the entries of n_columns inputs: each input's line of outputs is summed, then turned. */
static void gradient_sparse(const real *delta, const fb_entry *entries, ptrdiff_t n_entries, ptrdiff_t n_rows,
                            ptrdiff_t n_columns, real *dW, ptrdiff_t dW_ld)
{
    for (ptrdiff_t k = 0; k < n_columns; k += PANEL) {
        real sums[PANEL * PANEL] = {0};
        for (ptrdiff_t e = 0; e < n_entries; e++) {
            if (entries[e].k < k || entries[e].k >= k + PANEL) continue;
            real *line = sums + (entries[e].k - k) * PANEL;
            const vec x = v_set((real)entries[e].x);
            FB_UNROLL for (int v = 0; v < PANEL; v += LANES)
                v_store(line + v, v_fma(v_load(delta + (ptrdiff_t)entries[e].s * PANEL + v), x, v_load(line + v)));
        }
        for (ptrdiff_t v = 0; v < PANEL; v += LANES)
            lanes_to_rows(sums + v, PANEL, 0, n_rows - v, PANEL, dW + k * dW_ld + v * PANEL);
    }
}
