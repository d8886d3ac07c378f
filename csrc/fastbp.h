/* fastbp: the contract between the kernels (C) and the engine (Cython).
 *
 * Rows s are samples. Layers are 1..L. a[0] is X; W[l] is (size[l], size[l-1]); delta[l] is the derivative of the
 * per-sample cost C with respect to z[l]. docs/backprop.md derives:
 *
 *   F    z_sj = sum_k a_prev_sk W_jk + b_j ;  a_sj = f(z_sj)
 *   BP1  delta_sj = dC/da_sj f'(z_sj)                      (softmax: a sum over the whole row)
 *   BP2  delta_prev_sk = (sum_j delta_sj W_jk) f'(z_prev_sk)
 *   BP3  db_j = sum_s delta_sj
 *   BP4  dW_jk = sum_s delta_sj a_prev_sk
 *   U    the update: penalty, 1/sum of weights and the optimizer, element by element
 *
 * Layout. Every matrix (rows, columns) is stored in column panels one cache line wide:
 *
 *   [ceil(columns / PANEL)][ld][PANEL]       PANEL = 16 floats or 8 doubles, ld >= rows
 *
 * so a row of a panel is always FB_LINE bytes, and rows s.. of a matrix start FB_LINE * s bytes on.
 * Padding columns hold anything finite, except those of W, of its optimizer state and of dW, which hold zero.
 *
 * Order of sums (one seed, one result). Each element of F, BP2 and BP4 is one chain acc = fma(x_k, y_k, acc), k ascending,
 * from b_j (F) or 0 (BP2, BP4). BP3 is four such chains, rows s mod 4, added as (0 + 1) + (2 + 3). Rows of a loss and of
 * softmax are added in the order of the columns. Nothing depends on the vector width, the tile or the rows beside.
 *
 * Pointers to elements are void: float or double as the table's precision says. No kernel allocates.
 */
#ifndef FASTBP_H
#define FASTBP_H

#include <stddef.h>
#include <stdint.h>

enum { FB_LINE = 64 }; /* bytes of a panel's row */

/* clang-format off */
typedef enum {
    FB_IDENTITY, FB_LOGISTIC, FB_TANH, FB_RELU, FB_LEAKY_RELU, FB_ELU, FB_SELU, FB_SOFTPLUS, /* f' is read from a */
    FB_GELU, FB_SILU, FB_MISH,                                                              /* f' is read from z */
    FB_EXP, FB_SOFTMAX                                                                      /* of the output only */
} fb_activation;
typedef enum {
    FB_SQUARED_ERROR, FB_ABSOLUTE_ERROR, FB_HUBER, FB_QUANTILE, FB_POISSON, FB_GAMMA,
    FB_LOG_LOSS, FB_BINARY_LOG_LOSS, FB_FOCAL, FB_BINARY_FOCAL
} fb_loss_name;
/* clang-format on */
typedef enum { FB_SGD, FB_ADAM, FB_RMSPROP, FB_SCHEDULE_FREE } fb_solver;

/* Rows of X as the caller keeps them: any strides (in bytes), float32 or float64. */
typedef struct {
    const char *data;
    ptrdiff_t row_stride, column_stride;
    ptrdiff_t n_columns;
    int is_float64;
} fb_rows;

/* One fully connected layer. `rows` is n_out rounded up to whole panels. BP2 does not go on to the inputs of layer 1 when
 * it trains: that layer can do without W. Then U works on Wt, and a line of its tiles is one input's, "by inputs". */
typedef struct {
    ptrdiff_t n_in, n_out, rows;
    void *W;  /* (n_out, n_in) in panels over the inputs,  ld = rows: read by BP2, written by U */
    void *Wt; /* (n_in, n_out) in panels over the outputs, ld = n_in: read by F, the mirror of W where there is one */
    void *b;  /* (rows,) */
    fb_activation activation;
} fb_layer;

/* The output activation and the loss of a network. */
typedef struct {
    ptrdiff_t n_out;
    fb_activation activation;
    fb_loss_name loss;
    int y_is_class; /* y is (n, 1), the class index of a row, instead of (n, n_out) */
    double clip;      /* logarithms take a in [clip, 1 - clip]; 0: as it is */
    double smoothing; /* y of the log losses becomes y (1 - smoothing) + smoothing / (classes: n_out, or 2) */
    double parameter; /* where the Huber loss turns linear, or the focal loss's exponent */
    const double *levels;        /* (n_out,): of the quantile loss */
    const double *class_weights; /* (n_out, 2): what output j's cost counts at y = 0 and at y = 1; NULL: 1 */
} fb_output;

/* What U needs besides W and dW. */
typedef struct {
    fb_solver solver;
    int nesterov;
    double alpha, scale;  /* g = (dW + alpha W) scale, scale = 1 / sum of weights */
    double clip;          /* then g is limited to [-clip, clip]; 0: as it is */
    double learning_rate; /* Adam, schedule-free: with the bias correction of this step */
    double decay;         /* of W, apart from g: the plain learning rate times the weight decay */
    double momentum, beta_1, beta_2, rho, epsilon;
    double average; /* the share of this step's W in the average: 0 where none is kept */
} fb_step;

/* Dropout of one layer in one step: whether a unit of row s is kept, and scaled by 1 / (1 - rate), a hash of (seed, layer,
 * step, s, unit) says; so a mask is made anew wherever it is needed, and does not depend on shards or threads. */
typedef struct {
    uint64_t seed, layer, step;
    double rate;
} fb_dropout;

/* Rows of a sparse X (CSR) as the caller keeps them, columns ascending in each row. */
typedef struct {
    const void *values, *columns, *starts;
    int is_float64, is_int64; /* of values; of columns and starts */
} fb_csr;

/* A nonzero of a batch: X[s][k] = x, with k counted from the first input of its panel. */
typedef struct {
    int32_t s, k;
    double x;
} fb_entry;

/* The nonzeros of a batch by panels of inputs. Its rows are sorted in parts, each by itself: the entries of panel p in a
 * part are those from its starts[p] to its starts[p + 1], row after row. */
typedef struct {
    fb_entry *entries;
    int64_t *starts; /* [n_parts][n_panels + 2] */
    ptrdiff_t n_parts, n_panels;
} fb_sorted;

/* One instruction set in one precision. n: rows of the call; ld: rows of the buffers. */
typedef struct {
    const char *isa;
    int lanes; /* width of its vectors, as compiled */

    /* a (n, n_columns) and y (n, n_y) by column, from rows order[first..] (NULL: first..) of X and of y_rows. */
    void (*gather)(const fb_rows *X, const int64_t *order, ptrdiff_t first, ptrdiff_t n, void *a, ptrdiff_t ld);
    void (*gather_columns)(const void *y_rows, ptrdiff_t n_y, const int64_t *order, ptrdiff_t first, ptrdiff_t n,
                           void *y, ptrdiff_t ld);
    void (*scatter)(const void *a, ptrdiff_t n, ptrdiff_t n_columns, ptrdiff_t ld, void *rows);

    void (*forward)(const fb_layer *layer, const void *a_prev, void *z, void *a, ptrdiff_t n, ptrdiff_t ld); /* F */
    /* a from z (which may be a); scratch: FB_LINE bytes for each of 2 * (n_out + lanes). */
    void (*output)(const fb_output *out, const void *z, void *a, void *scratch, ptrdiff_t n, ptrdiff_t ld);
    /* The same, and delta and losses[s] = w_s C_s; y (n_y, ld) by column; w (n,) or NULL. */
    void (*loss)(const fb_output *out, const void *z, const void *y, const void *w, void *a, void *delta,
                 double *losses, void *scratch, ptrdiff_t n, ptrdiff_t ld); /* BP1 */
    /* kept: what f' of the layer before is read from, a or z (fb_activation). */
    void (*delta)(const fb_layer *layer, fb_activation f_prev, const void *delta, const void *kept, void *delta_prev,
                  ptrdiff_t n, ptrdiff_t ld); /* BP2 */
    /* y = x in its kept units, scaled, and 0 in the others; row s counts as first + s, x may be y. */
    void (*dropout)(const fb_dropout *drop, ptrdiff_t first, const void *x, void *y, ptrdiff_t n, ptrdiff_t n_columns,
                    ptrdiff_t ld);
    /* dW of one panel of delta (n_rows <= PANEL outputs) and n_columns inputs, panels dW_ld rows apart. */
    void (*gradient)(const void *delta, const void *a_prev, ptrdiff_t n, ptrdiff_t ld, ptrdiff_t n_rows,
                     ptrdiff_t n_columns, void *dW, ptrdiff_t dW_ld); /* BP4 */
    void (*bias_gradient)(const void *delta, ptrdiff_t n, ptrdiff_t n_rows, void *db); /* BP3, one panel */
    /* n_lines rows of a panel in place, with their state m, v and, if one is kept, their average (else NULL); returns the
     * sum of their squares after the step. by_inputs: of at most PANEL lines, added as if they were columns. */
    double (*update)(void *W, const void *dW, void *m, void *v, void *average, ptrdiff_t n_lines, int by_inputs,
                     const fb_step *step); /* U */
    /* The same sum, and that of g^2. */
    double (*squares)(const void *W, ptrdiff_t n_lines, int by_inputs);
    double (*gradient_squares)(const void *W, const void *dW, ptrdiff_t n_lines, int by_inputs, const fb_step *step);
    /* The first layer of a sparse X, on its nonzeros alone: F, the nonzeros of one part of a batch, and BP4 from all parts
     * for one panel of outputs and one of inputs. drop: of the inputs, or NULL. */
    void (*forward_sparse)(const fb_layer *layer, const fb_csr *X, const int64_t *order, ptrdiff_t first,
                           const fb_dropout *drop, ptrdiff_t s, void *z, void *a, ptrdiff_t n, ptrdiff_t ld);
    void (*sort_entries)(const fb_csr *X, const int64_t *order, ptrdiff_t first, const fb_dropout *drop, ptrdiff_t n,
                         ptrdiff_t part, const fb_sorted *sorted);
    void (*gradient_sparse)(const void *delta, const fb_sorted *X, ptrdiff_t panel, ptrdiff_t n_outputs,
                            ptrdiff_t n_inputs, int by_inputs, void *dW);
    /* Wt from W: rows j.. of the panel of W that holds inputs k.. */
    void (*mirror)(const fb_layer *layer, ptrdiff_t j, ptrdiff_t k);

    /* Elementwise on whole lines, for fastbp.functional. */
    void (*activate)(fb_activation f, const void *z, void *a, ptrdiff_t n_lines);
    void (*derive)(fb_activation f, const void *kept, void *delta, ptrdiff_t n_lines); /* delta *= f'(z) */
    void (*softmax_derive)(const void *a, void *delta, void *scratch, ptrdiff_t n, ptrdiff_t n_out, ptrdiff_t ld);
    void (*logarithm)(const void *x, void *y, ptrdiff_t n_lines);
    /* A loop of independent fma; returns the count of operations. */
    double (*fma_peak)(ptrdiff_t n_rounds, double *sink);
} fb_kernels;

/* Table i of those that run on this processor, best first (NULL past the last), for 4 or 8 byte reals. */
const fb_kernels *fb_table(int i, size_t real_size);

#endif
