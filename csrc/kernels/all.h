/* The kernels in the order of the algorithm, and their table. Everything is static: it is compiled once for each
 * instruction set and precision, from the `vec` of the simd header included before. */
#include "panels.h"
#include "elementary.h"
#include "activation.h"
#include "product.h"
#include "forward.h"
#include "cost.h"
#include "loss.h"
#include "delta.h"
#include "dropout.h"
#include "gradient.h"
#include "sparse.h"
#include "update.h"
#include "peak.h"

/* The faces in which the engine, which knows no precision, sees the kernels that take typed pointers. */
static void t_gather(const fb_rows *X, const int64_t *order, ptrdiff_t first, ptrdiff_t n, void *a, ptrdiff_t ld)
{
    gather(X, order, first, n, a, ld);
}
static void t_gather_columns(const void *y_rows, ptrdiff_t n_y, const int64_t *order, ptrdiff_t first, ptrdiff_t n,
                             void *y, ptrdiff_t ld)
{
    gather_columns(y_rows, n_y, order, first, n, y, ld);
}
static void t_scatter(const void *a, ptrdiff_t n, ptrdiff_t n_columns, ptrdiff_t ld, void *rows)
{
    scatter(a, n, n_columns, ld, rows);
}
static void t_forward(const fb_layer *layer, const void *a_prev, void *z, void *a, ptrdiff_t n, ptrdiff_t ld)
{
    forward(layer, a_prev, z, a, n, ld);
}
static void t_output(const fb_output *out, const void *z, void *a, void *scratch, ptrdiff_t n, ptrdiff_t ld)
{
    output(out, z, a, scratch, n, ld);
}
static void t_loss(const fb_output *out, const void *z, const void *y, const void *w, void *a, void *delta,
                   double *losses, void *scratch, ptrdiff_t n, ptrdiff_t ld)
{
    loss(out, z, y, w, a, delta, losses, scratch, n, ld);
}
static void t_delta(const fb_layer *layer, fb_activation f_prev, const void *delta, const void *kept, void *delta_prev,
                    ptrdiff_t n, ptrdiff_t ld)
{
    delta_previous(layer, f_prev, delta, kept, delta_prev, n, ld);
}
static void t_gradient(const void *delta, const void *a_prev, ptrdiff_t n, ptrdiff_t ld, ptrdiff_t n_rows,
                       ptrdiff_t n_columns, void *dW, ptrdiff_t dW_ld)
{
    gradient(delta, a_prev, n, ld, n_rows, n_columns, dW, dW_ld);
}
static void t_bias_gradient(const void *delta, ptrdiff_t n, ptrdiff_t n_rows, void *db)
{
    bias_gradient(delta, n, n_rows, db);
}
static void t_dropout(const fb_dropout *drop, ptrdiff_t first, const void *x, void *y, ptrdiff_t n, ptrdiff_t n_columns,
                      ptrdiff_t ld)
{
    dropout(drop, first, x, y, n, n_columns, ld);
}
static void t_forward_sparse(const fb_layer *layer, const fb_csr *X, const int64_t *order, ptrdiff_t first,
                             const fb_dropout *drop, ptrdiff_t s, void *z, void *a, ptrdiff_t n, ptrdiff_t ld)
{
    forward_sparse(layer, X, order, first, drop, s, z, a, n, ld);
}
static void t_gradient_sparse(const void *delta, const fb_sorted *X, ptrdiff_t panel, ptrdiff_t n_outputs,
                              ptrdiff_t n_inputs, int by_inputs, void *dW)
{
    gradient_sparse(delta, X, panel, n_outputs, n_inputs, by_inputs, dW);
}
static double t_update(void *W, const void *dW, void *m, void *v, void *average, ptrdiff_t n_lines, int by_inputs,
                       const fb_step *step)
{
    return update(W, dW, m, v, average, n_lines, by_inputs, step);
}
static double t_gradient_squares(const void *W, const void *dW, ptrdiff_t n_lines, int by_inputs, const fb_step *step)
{
    return by_inputs ? gradient_squares_by_inputs(W, dW, n_lines, step) : gradient_squares(W, dW, n_lines, step);
}
static double t_squares(const void *W, ptrdiff_t n_lines, int by_inputs)
{
    return by_inputs ? sum_squares_by_inputs(W, n_lines) : sum_squares(W, n_lines);
}
static void t_activate(fb_activation kind, const void *z, void *a, ptrdiff_t n_lines)
{
    activate(kind, z, a, n_lines * PANEL);
}
static void t_derive(fb_activation kind, const void *kept, void *delta, ptrdiff_t n_lines)
{
    derive(kind, kept, delta, n_lines * PANEL);
}
static void t_softmax_derive(const void *a, void *delta, void *scratch, ptrdiff_t n, ptrdiff_t n_out, ptrdiff_t ld)
{
    softmax_derive(a, delta, scratch, n, n_out, ld);
}
static void t_logarithm(const void *x, void *y, ptrdiff_t n_lines)
{
    for (ptrdiff_t i = 0; i < n_lines * PANEL; i += LANES) v_store((real *)y + i, v_log(v_load((const real *)x + i)));
}

/* clang-format off */
#define FB_KERNELS(name)                                                                                               \
    {                                                                                                                  \
        .isa = name, .lanes = LANES, .gather = t_gather, .gather_columns = t_gather_columns, .scatter = t_scatter,     \
        .forward = t_forward, .output = t_output, .loss = t_loss, .delta = t_delta, .dropout = t_dropout,              \
        .gradient = t_gradient, .bias_gradient = t_bias_gradient, .forward_sparse = t_forward_sparse,                  \
        .sort_entries = sort_entries, .gradient_sparse = t_gradient_sparse, .update = t_update,                        \
        .squares = t_squares, .gradient_squares = t_gradient_squares, .mirror = mirror,                                \
        .activate = t_activate, .derive = t_derive, .softmax_derive = t_softmax_derive, .logarithm = t_logarithm,      \
        .fma_peak = fma_peak                                                                                           \
    }
/* clang-format on */
