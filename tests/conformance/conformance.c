/* Runs every kernel of every instruction set on the same inputs, and prints for each
 *
 *   kernel precision hash isa lanes
 *
 * where the hash takes in every bit of the results, and must be the same everywhere. PRECISION is 32 or 64. Inputs come
 * from an integer generator, so that no library has a part in them. With an argument it prints the hash after each case.
 *
 * Hashed besides results: the lines past the rows of a call, where no kernel may write. Not hashed: padding columns, which
 * the contract leaves open, and fma_peak, which counts lanes. Inputs avoid what makes a NaN out of numbers (0 / 0,
 * inf - inf), since its sign bit is set on x86 and clear on ARM. */
#define _DEFAULT_SOURCE /* mmap, of guarded.h */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "fastbp.h"
#define FB_REAL PRECISION
#include "simd/real.h"
#include "guarded.h"

#ifdef ISAS /* T(name) T(name)...: the instruction sets, where dispatch.c cannot know, since they are emulated */
#define PASTE(isa, precision) fb_##isa##_f##precision
#define TABLE(isa, precision) PASTE(isa, precision)
#define T(isa) extern const fb_kernels TABLE(isa, PRECISION);
ISAS
#undef T
#define T(isa) &TABLE(isa, PRECISION),
const fb_kernels *fb_table(int i, size_t real_size)
{
    static const fb_kernels *const TABLES[] = {ISAS NULL};
    (void)real_size;
    return TABLES[i];
}
#endif

static const fb_kernels *K;

/* The bits */

static uint64_t hash;
static int verbose;

static void see_bits(uint64_t b)
{
    hash = (hash ^ b) * 0x9e3779b97f4a7c15u;
    hash ^= hash >> 29;
}

static void see(const real *p, ptrdiff_t count)
{
    for (ptrdiff_t i = 0; i < count; i++) {
        bits b;
        memcpy(&b, p + i, sizeof b);
        see_bits(b);
    }
}

static void see_doubles(const double *p, ptrdiff_t count)
{
    for (ptrdiff_t i = 0; i < count; i++) {
        uint64_t b;
        memcpy(&b, p + i, sizeof b);
        see_bits(b);
    }
}

/* (n, columns) in panels; what lies past row n is to be as it was. */
static void see_matrix(const real *a, ptrdiff_t n, ptrdiff_t columns, ptrdiff_t ld)
{
    for (ptrdiff_t k = 0; k < columns; k += PANEL) {
        for (ptrdiff_t s = 0; s < n; s++) see(a + k * ld + s * PANEL, columns - k < PANEL ? columns - k : PANEL);
        see(a + k * ld + n * PANEL, (ld - n) * PANEL);
    }
}

/* The inputs */

static uint64_t state;

static uint64_t next(void) /* splitmix64 */
{
    uint64_t x = state += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static ptrdiff_t below(ptrdiff_t n) { return (ptrdiff_t)(next() % (uint64_t)n); }

static real from_bits(bits b)
{
    real x;
    memcpy(&x, &b, sizeof x);
    return x;
}

typedef real (*generator)(void);

/* In [-1, 1], with a full significand: a product that is rounded before the sum shows. One in 16 is zero. */
static real ordinary(void)
{
    const uint64_t x = next();
    return x % 16 ? (real)((int64_t)x >> (63 - MANTISSA)) / (real)((bits)1 << MANTISSA) : 0;
}

/* In (-2, 2), every exponent alike. */
static real small(void) { return from_bits((bits)next() & ~((bits)1 << (8 * sizeof(real) - 2))); }

/* Subnormal, or nearly. */
static real tiny(void) { return from_bits((bits)next() & (((bits)1 << (8 * sizeof(real) - 1)) | (((bits)4 << MANTISSA) - 1))); }

/* A target: 0, 1/4, 1/2, 3/4 or 1. */
static real quarter(void) { return (real)below(5) / 4; }

static real weight(void) { return (real)(1 + below(8)) / 4; }

/* So many elements for one case, or lines of them. */
static real *take_elements(ptrdiff_t count, generator draw)
{
    real *p = guarded((size_t)count * sizeof(real));
    for (ptrdiff_t i = 0; i < count; i++) p[i] = draw();
    return p;
}
static real *take(ptrdiff_t lines, generator draw) { return take_elements(lines * PANEL, draw); }

static ptrdiff_t panels(ptrdiff_t columns) { return (columns + PANEL - 1) / PANEL; }
static real *take_matrix(ptrdiff_t columns, ptrdiff_t ld) { return take(panels(columns) * ld, ordinary); }

static fb_layer take_layer(ptrdiff_t n_in, ptrdiff_t n_out)
{
    const ptrdiff_t rows = panels(n_out) * PANEL;
    return (fb_layer){.n_in = n_in, .n_out = n_out, .rows = rows, .W = take_matrix(n_in, rows), .Wt = take_matrix(n_out, n_in),
                      .b = take(rows / PANEL, ordinary)};
}

/* The lines that a loss may use, full of NaN. */
static void *scratch_for(ptrdiff_t n_out)
{
    const size_t size = (size_t)(2 * (n_out + K->lanes)) * FB_LINE;
    return memset(guarded(size), 0xff, size);
}

/* The cases */

static const ptrdiff_t SIZES[] = {1, 2, 7, 10, 15, 16, 17, 31, 33, 100};
enum { N_SIZES = sizeof SIZES / sizeof *SIZES, GAP = 3 /* lines past the rows of a call */ };

static void begin_case(void) { used = 0; }
static ptrdiff_t gap(void) { return below(2) ? GAP : 0; }
static void end_case(ptrdiff_t a, ptrdiff_t b, ptrdiff_t c)
{
    if (verbose) printf("# %td %td %td: %016" PRIx64 "\n", a, b, c, hash);
}

/* Calls product() for ragged sizes in every place, narrow outputs, every shape of a tile, and sums longer than a block. */
static void each_shape(void (*product)(ptrdiff_t n, ptrdiff_t n_in, ptrdiff_t n_out))
{
    static const ptrdiff_t WIDTHS[] = {7, 10, 31, 33, 64}; /* 1, 2, 3, 4 panels at a time, in either precision */
    static const ptrdiff_t LONG[][3] = {{31, 300, 33}, {31, 300, 5}, {31, 33, 300}, {300, 31, 10},
                                        {300, 33, 100}, {9, 601, 701}, {9, 701, 601}, {7, 191, 17}, {7, 192, 17}, {7, 193, 17}};
    for (int i = 0; i < N_SIZES; i++)
        for (int j = 0; j < N_SIZES; j++)
            for (int k = 0; k < N_SIZES; k++) product(SIZES[i], SIZES[j], SIZES[k]);
    for (ptrdiff_t n_out = 1; n_out <= 10; n_out++) product(33, 17, n_out);
    for (ptrdiff_t rows = 1; rows <= 14; rows++)
        for (int i = 0; i < 5; i++) {
            product(rows, WIDTHS[i], WIDTHS[i]); /* rows of F and BP2 */
            product(9, WIDTHS[i], rows);         /* rows of BP4 */
        }
    for (size_t i = 0; i < sizeof LONG / sizeof *LONG; i++) product(LONG[i][0], LONG[i][1], LONG[i][2]);
}

static void each_pair(void (*kernel)(ptrdiff_t a, ptrdiff_t b))
{
    for (int i = 0; i < N_SIZES; i++)
        for (int j = 0; j < N_SIZES; j++) kernel(SIZES[i], SIZES[j]);
}

/* The kernels, in the order of fastbp.h */

static void gather_case(ptrdiff_t n, ptrdiff_t columns)
{
    enum { FIRST = 2 };
    const ptrdiff_t ld = n + gap(), total = n + FIRST;
    int64_t order[100 + FIRST];
    for (ptrdiff_t s = 0; s < total; s++) order[s] = (s * 8 + 3) % total;
    for (int is_float64 = 0; is_float64 < 2; is_float64++)
        for (int layout = 0; layout < 6; layout++) {
            const ptrdiff_t size = is_float64 ? sizeof(double) : sizeof(float), wide = layout / 2 == 2 ? 2 : 1;
            const int by_column = layout / 2 == 1;
            begin_case();
            const ptrdiff_t count = by_column ? total * columns : (total * columns - 1) * wide + 1; /* to the last element */
            char *source = guarded((size_t)(count * size));
            const fb_rows X = {.data = source, .n_columns = columns, .is_float64 = is_float64,
                               .row_stride = size * (by_column ? 1 : columns * wide),
                               .column_stride = size * (by_column ? total : wide)};
            for (ptrdiff_t i = 0; i < count; i++) {
                const int64_t x = (int64_t)next() >> 10;
                if (is_float64)
                    ((double *)source)[i] = (double)x / ((int64_t)1 << 53);
                else
                    ((float *)source)[i] = (float)x / ((int64_t)1 << 53);
            }
            real *a = take_matrix(columns, ld);
            K->gather(&X, layout % 2 ? order : NULL, FIRST, n, a, ld);
            see_matrix(a, n, columns, ld);
        }
    end_case(n, columns, 0);
}
static void run_gather(void) { each_pair(gather_case); }

static void gather_columns_case(ptrdiff_t n, ptrdiff_t n_y)
{
    begin_case();
    const ptrdiff_t ld = n + gap();
    const real *rows = take_elements(n * n_y, ordinary);
    real *y = take_elements(n_y * ld, ordinary);
    int64_t order[100];
    for (ptrdiff_t s = 0; s < n; s++) order[s] = n - 1 - s;
    K->gather_columns(rows, n_y, n % 2 ? order : NULL, 0, n, y, ld);
    see(y, n_y * ld);
    end_case(n, n_y, 0);
}
static void run_gather_columns(void) { each_pair(gather_columns_case); }

static void scatter_case(ptrdiff_t n, ptrdiff_t columns)
{
    begin_case();
    const ptrdiff_t ld = n + gap();
    const real *a = take_matrix(columns, ld);
    real *rows = take_elements(n * columns, ordinary);
    K->scatter(a, n, columns, ld, rows);
    see(rows, n * columns);
    end_case(n, columns, 0);
}
static void run_scatter(void) { each_pair(scatter_case); }

static fb_activation any_activation(void) { return (fb_activation)below(FB_SOFTMAX); } /* those that go by element */
static int needs_z(fb_activation f) { return f >= FB_GELU && f <= FB_MISH; } /* those that no output has */

static void forward_case(ptrdiff_t n, ptrdiff_t n_in, ptrdiff_t n_out)
{
    begin_case();
    const ptrdiff_t ld = n + gap();
    fb_layer layer = take_layer(n_in, n_out);
    layer.activation = any_activation();
    const real *a_prev = take_matrix(n_in, ld);
    real *z = take_matrix(n_out, ld), *a = below(2) ? z : take_matrix(n_out, ld);
    K->forward(&layer, a_prev, z, a, n, ld);
    see_matrix(z, n, n_out, ld);
    see_matrix(a, n, n_out, ld);
    end_case(n, n_in, n_out);
}
static void run_forward(void) { each_shape(forward_case); }

/* z for a pair of output and loss. `wide` saturates the output; else a is inside (0, 1), where every loss is finite. */
static real *take_z(fb_activation output, fb_loss_name loss, int wide, ptrdiff_t columns, ptrdiff_t ld)
{
    real *z = take_matrix(columns, ld);
    const int any = loss <= FB_QUANTILE || output == FB_LOGISTIC || output == FB_SOFTMAX ||
                    (output == FB_EXP && (loss == FB_POISSON || loss == FB_GAMMA));
    for (ptrdiff_t i = 0; i < panels(columns) * ld * PANEL; i++)
        z[i] = wide ? 60 * z[i] : any ? z[i] : output == FB_EXP ? (z[i] - 2) / 4 : (z[i] + 2) / 4;
    return z;
}

static void run_output(void)
{
    for (int f = FB_IDENTITY; f <= FB_SOFTMAX; f++)
        for (int i = 0; i < N_SIZES && !needs_z((fb_activation)f); i++)
            for (int j = 0; j < N_SIZES; j++) {
                begin_case();
                const ptrdiff_t n = SIZES[i], n_out = SIZES[j], ld = n + gap();
                const fb_output out = {.n_out = n_out, .activation = (fb_activation)f};
                real *z = take_z(out.activation, FB_SQUARED_ERROR, below(2), n_out, ld);
                real *a = below(2) ? z : take_matrix(n_out, ld);
                K->output(&out, z, a, scratch_for(n_out), n, ld);
                see_matrix(a, n, n_out, ld);
                end_case(f, n, n_out);
            }
}

static void loss_case(const fb_output *out, int weighted, ptrdiff_t n)
{
    begin_case();
    const ptrdiff_t ld = n + gap();
    const int of_scale = out->loss == FB_POISSON || out->loss == FB_GAMMA, wide = out->clip > 0 && !of_scale;
    const real *z = take_z(out->activation, out->loss, wide, out->n_out, ld);
    real *y = take_elements((out->y_is_class ? 1 : out->n_out) * ld, quarter), *w = weighted ? take_elements(n, weight) : NULL;
    real *a = take_matrix(out->n_out, ld), *delta = take_matrix(out->n_out, ld);
    double losses[100 + GAP] = {0};
    if (out->y_is_class)
        for (ptrdiff_t s = 0; s < n; s++) y[s] = (real)below(out->n_out);
    else if (out->loss == FB_GAMMA)
        for (ptrdiff_t i = 0; i < out->n_out * ld; i++) y[i] += (real)0.25;
    K->loss(out, z, y, w, a, delta, losses, scratch_for(out->n_out), n, ld);
    see_matrix(a, n, out->n_out, ld);
    see_matrix(delta, n, out->n_out, ld);
    see_doubles(losses, n + GAP);
}

/* Softmax of a single output is 1: with nothing clipped, the slope of the cost of y = 0 is infinite, and its share 0. */
static int makes_nan(const fb_output *out)
{
    return out->n_out == 1 && out->activation == FB_SOFTMAX && out->clip == 0 &&
           (out->loss == FB_BINARY_LOG_LOSS || out->loss == FB_BINARY_FOCAL);
}

static void run_loss(void)
{
    static const fb_activation OUTPUTS[] = {FB_IDENTITY, FB_LOGISTIC, FB_TANH, FB_RELU, FB_EXP, FB_SOFTMAX};
    static double levels[100], class_weights[2 * 100];
    for (int j = 0; j < 100; j++) levels[j] = (j + 1) / 128.0;
    for (int j = 0; j < 200; j++) class_weights[j] = 1 + j % 7 / 4.0;

    for (int choice = 0; choice < 6 * 10 * 2 * 2 * 2; choice++)
        for (int i = 0; i < N_SIZES + 10; i++) { /* every n and every n_out for each choice, then the narrow outputs */
            const int f = choice % 6, settings = (i + choice / 6) % 6;
            const ptrdiff_t n = i < N_SIZES ? SIZES[i] : 33;
            const fb_output out = {.n_out = i < N_SIZES ? SIZES[(3 * i + choice) % N_SIZES] : i - N_SIZES + 1,
                                   .activation = OUTPUTS[f], .loss = (fb_loss_name)(choice / 6 % 10),
                                   .y_is_class = choice / 60 % 2, .clip = choice / 120 % 2 ? 1.0 / (1 << 20) : 0,
                                   .smoothing = settings / 3 ? 0.125 : 0, .parameter = settings % 3 / 2.0, .levels = levels,
                                   .class_weights = settings % 2 && OUTPUTS[f] != FB_SOFTMAX ? class_weights : NULL};
            if (makes_nan(&out)) continue;
            loss_case(&out, choice / 240, n);
            end_case(choice, n, out.n_out);
        }
}

static void delta_case(ptrdiff_t n, ptrdiff_t n_in, ptrdiff_t n_out)
{
    begin_case();
    const ptrdiff_t ld = n + gap();
    const fb_layer layer = take_layer(n_in, n_out);
    const real *delta = take_matrix(n_out, ld), *a_prev = take_matrix(n_in, ld);
    real *delta_prev = take_matrix(n_in, ld);
    K->delta(&layer, any_activation(), delta, a_prev, delta_prev, n, ld);
    see_matrix(delta_prev, n, n_in, ld);
    end_case(n, n_in, n_out);
}
static void run_delta(void) { each_shape(delta_case); }

static void gradient_case(ptrdiff_t n, ptrdiff_t n_in, ptrdiff_t n_out)
{
    begin_case();
    const ptrdiff_t ld = n + gap(), rows = panels(n_out) * PANEL;
    const real *delta = take_matrix(n_out, ld), *a_prev = take_matrix(n_in, ld);
    real *dW = take_matrix(n_in, rows);
    for (ptrdiff_t j = 0; j < n_out; j += PANEL)
        K->gradient(delta + j * ld, a_prev, n, ld, n_out - j < PANEL ? n_out - j : PANEL, n_in, dW + j * PANEL, rows);
    see(dW, panels(n_in) * rows * PANEL); /* with its padding, which is zero */
    end_case(n, n_in, n_out);
}
static void run_gradient(void) { each_shape(gradient_case); }

static void bias_gradient_case(ptrdiff_t n, ptrdiff_t n_rows)
{
    begin_case();
    const real *delta = take(n, ordinary);
    real *db = take(1, ordinary);
    K->bias_gradient(delta, n, n_rows, db);
    see(db, PANEL);
    end_case(n, n_rows, 0);
}
static void run_bias_gradient(void)
{
    for (int i = 0; i < N_SIZES; i++)
        for (ptrdiff_t n_rows = 1; n_rows <= PANEL; n_rows++) bias_gradient_case(SIZES[i], n_rows);
    bias_gradient_case(300, PANEL);
}

static void dropout_case(ptrdiff_t n, ptrdiff_t columns)
{
    static const double RATES[] = {0, 0.1, 0.5, 1 - 0x1p-53};
    for (int i = 0; i < 4; i++) {
        begin_case();
        const fb_dropout drop = {.seed = next(), .layer = (uint64_t)i, .step = next(), .rate = RATES[i]};
        const ptrdiff_t ld = n + gap();
        real *x = take_matrix(columns, ld), *y = below(2) ? x : take_matrix(columns, ld);
        K->dropout(&drop, below(1000), x, y, n, columns, ld);
        see_matrix(y, n, columns, ld);
    }
    end_case(n, columns, 0);
}
static void run_dropout(void) { each_pair(dropout_case); }

/* (n, n_in) in CSR, of either precision and type of index; in some rows nothing, in some everything. */
enum { ROWS = 300, COLUMNS = 701 }; /* of each_shape, at most */

static fb_csr take_csr(ptrdiff_t n, ptrdiff_t n_in)
{
    static double values[ROWS * COLUMNS];
    static int64_t columns[ROWS * COLUMNS], starts[ROWS + 1];
    const fb_csr X = {.values = values, .columns = columns, .starts = starts, .is_float64 = (int)below(2),
                      .is_int64 = (int)below(2)};
    ptrdiff_t count = 0;
    for (ptrdiff_t s = 0; s <= n; s++) {
        if (X.is_int64)
            starts[s] = count;
        else
            ((int32_t *)starts)[s] = (int32_t)count;
        const ptrdiff_t share = below(5); /* quarters of the row */
        for (ptrdiff_t k = 0; s < n && k < n_in; k++) {
            if (below(4) >= share) continue;
            const double x = (double)((int64_t)next() >> 10) / ((int64_t)1 << 53);
            if (X.is_float64)
                values[count] = x;
            else
                ((float *)values)[count] = (float)x;
            if (X.is_int64)
                columns[count++] = k;
            else
                ((int32_t *)columns)[count++] = (int32_t)k;
        }
    }
    return X;
}

static void sparse_case(ptrdiff_t n, ptrdiff_t n_in, ptrdiff_t n_out)
{
    begin_case();
    enum { FIRST = 1, PARTS = 3 };
    const fb_csr X = take_csr(n, n_in);
    const fb_dropout dropout = {.seed = next(), .step = next(), .rate = 0.25}, *drop = below(2) ? &dropout : NULL;
    const ptrdiff_t ld = n + gap(), rows = panels(n_out) * PANEL, n_panels = panels(n_in);
    int64_t order[ROWS + FIRST];
    for (ptrdiff_t s = 0; s < n; s++) order[s + FIRST] = below(n);
    fb_layer layer = take_layer(n_in, n_out);
    layer.activation = any_activation();
    real *z = take_matrix(n_out, ld), *a = below(2) ? z : take_matrix(n_out, ld), *dW = take_matrix(n_in, rows);
    K->forward_sparse(&layer, &X, order, FIRST, drop, 0, z, a, n, ld);
    see_matrix(z, n, n_out, ld);
    see_matrix(a, n, n_out, ld);
    const real *delta = take_matrix(n_out, ld);
    static fb_entry entries[ROWS * COLUMNS];
    static int64_t starts[PARTS * (COLUMNS + 2)];
    const fb_sorted sorted = {.entries = entries, .starts = starts, .n_parts = 1 + below(PARTS), .n_panels = n_panels};
    for (ptrdiff_t part = 0; part < sorted.n_parts; part++) K->sort_entries(&X, order, FIRST, drop, n, part, &sorted);
    for (ptrdiff_t k = 0; k < n_in; k += PANEL)
        for (ptrdiff_t j = 0; j < n_out; j += PANEL) {
            real by_inputs[PANEL * PANEL];
            const ptrdiff_t n_outputs = n_out - j < PANEL ? n_out - j : PANEL, n_inputs = n_in - k < PANEL ? n_in - k : PANEL;
            K->gradient_sparse(delta + j * ld, &sorted, k / PANEL, n_outputs, n_inputs, 0, dW + k * rows + j * PANEL);
            K->gradient_sparse(delta + j * ld, &sorted, k / PANEL, n_outputs, n_inputs, 1, by_inputs);
            see(by_inputs, n_inputs * PANEL);
        }
    see(dW, panels(n_in) * rows * PANEL);
    end_case(n, n_in, n_out);
}
static void run_sparse(void) { each_shape(sparse_case); }

static void update_case(const fb_step *step, int averaged, generator draw, ptrdiff_t n)
{
    begin_case();
    const ptrdiff_t size = (n + GAP) * PANEL;
    real *W = take(n + GAP, draw), *dW = take(n, draw), *m = take(n + GAP, draw), *v = take(n + GAP, draw);
    real *average = averaged || step->solver == FB_SCHEDULE_FREE ? take(n + GAP, draw) : NULL;
    for (ptrdiff_t j = 0; j < size; j++) v[j] = v[j] < 0 ? -v[j] : v[j];
    const int by_inputs = n <= PANEL;
    const double of_gradient = K->gradient_squares(W, dW, n, by_inputs, step);
    const double squares = K->update(W, dW, m, v, average, n, by_inputs, step);
    see(W, size);
    see(m, size);
    see(v, size);
    if (average) see(average, size);
    see_doubles(&of_gradient, 1);
    see_doubles(&squares, 1);
}

static void run_update(void)
{
    static const generator DRAW[] = {ordinary, small, tiny};
    for (int choice = 0; choice < 4 * 2 * 2 * 2 * 2 * 2 * 3; choice++) {
        const fb_step step = {.solver = (fb_solver)(choice % 4), .nesterov = choice / 4 % 2, .alpha = choice / 8 % 2 ? 1e-4 : 0,
                              .scale = 1.0 / 33, .clip = choice / 16 % 2 ? 1e-2 : 0, .learning_rate = 1e-3,
                              .decay = choice / 32 % 2 ? 1e-3 : 0, .momentum = 0.9, .beta_1 = 0.9, .beta_2 = 0.999, .rho = 0.9,
                              .epsilon = 1e-8, .average = 0.1};
        for (int i = 0; i < N_SIZES; i++) {
            update_case(&step, choice / 64 % 2, DRAW[choice / 128], SIZES[i]);
            end_case(choice, SIZES[i], 0);
        }
    }
}

static void run_squares(void)
{
    for (int i = 0; i < N_SIZES; i++) {
        begin_case();
        const real *W = take(SIZES[i], ordinary);
        for (int by_inputs = 0; by_inputs <= (SIZES[i] <= PANEL); by_inputs++) {
            const double squares = K->squares(W, SIZES[i], by_inputs);
            see_doubles(&squares, 1);
        }
        end_case(SIZES[i], 0, 0);
    }
}

static void mirror_case(ptrdiff_t n_in, ptrdiff_t n_out)
{
    begin_case();
    const fb_layer layer = take_layer(n_in, n_out);
    for (ptrdiff_t j = 0; j < n_out; j += PANEL)
        for (ptrdiff_t k = 0; k < n_in; k += PANEL) K->mirror(&layer, j, k);
    see_matrix(layer.Wt, n_in, n_out, n_in);
    see_matrix(layer.W, n_out, n_in, layer.rows);
    end_case(n_in, n_out, 0);
}
static void run_mirror(void) { each_pair(mirror_case); }

/* Lines that hold the extremes (zeros, subnormals, the greatest, infinities), then any bits but those of NaN. */
enum { ELEMENTS = 1 << 14 };
static real *take_any_bits(void)
{
    const bits exponents = ((bits)1 << (8 * sizeof(real) - 1 - MANTISSA)) - 1;
    real *x = take(ELEMENTS / PANEL, ordinary);
    for (ptrdiff_t i = 0; i < ELEMENTS; i++) {
        const bits e[] = {0, 1, exponents - 1, exponents}, m[] = {0, 1, ((bits)1 << MANTISSA) - 1};
        const bits sign = (bits)(i % 2) << (8 * sizeof(real) - 1);
        x[i] = i < 2 * 4 * 3 ? from_bits(sign | e[i / 2 % 4] << MANTISSA | m[i / 8]) : from_bits((bits)next());
        if (x[i] != x[i]) x[i] = 0;
    }
    return x;
}

static void run_activate(void)
{
    for (int f = FB_IDENTITY; f < FB_SOFTMAX; f++) {
        begin_case();
        const real *any = take_any_bits();
        real *ordinary_z = take(ELEMENTS / PANEL, ordinary), *a = take(ELEMENTS / PANEL, ordinary);
        K->activate((fb_activation)f, any, a, ELEMENTS / PANEL);
        see(a, ELEMENTS);
        for (ptrdiff_t i = 0; i < ELEMENTS; i++) ordinary_z[i] *= (real)(1 + i % 100); /* where f is not 0, 1 or infinite */
        K->activate((fb_activation)f, ordinary_z, ordinary_z, ELEMENTS / PANEL);
        see(ordinary_z, ELEMENTS);
        real *line = take(1, ordinary);
        for (int i = 0; i < PANEL; i++) line[i] = from_bits(((bits)-1 >> 1) & ~(bits)i);
        K->activate((fb_activation)f, line, line, 1);
        for (int i = 0; i < PANEL; i++) see_bits(line[i] != line[i]); /* NaN stays NaN, of whatever sign */
        end_case(f, 0, 0);
    }
}

static void run_derive(void)
{
    static const generator DRAW[] = {ordinary, small, quarter};
    for (int f = FB_IDENTITY; f < FB_SOFTMAX; f++)
        for (int i = 0; i < 3 + needs_z((fb_activation)f); i++) { /* z may be anything */
            begin_case();
            const real *kept = i < 3 ? take(ELEMENTS / PANEL, DRAW[i]) : take_any_bits();
            real *delta = take(ELEMENTS / PANEL, DRAW[i % 3]);
            K->derive((fb_activation)f, kept, delta, ELEMENTS / PANEL);
            see(delta, ELEMENTS);
            end_case(f, i, 0);
        }
}

static void softmax_derive_case(ptrdiff_t n, ptrdiff_t n_out)
{
    begin_case();
    const ptrdiff_t ld = n + gap();
    const real *a = take_matrix(n_out, ld);
    real *delta = take_matrix(n_out, ld);
    K->softmax_derive(a, delta, scratch_for(n_out), n, n_out, ld);
    see_matrix(delta, n, n_out, ld);
    end_case(n, n_out, 0);
}
static void run_softmax_derive(void) { each_pair(softmax_derive_case); }

static void run_logarithm(void)
{
    begin_case();
    const real *any = take_any_bits(), *near_1 = take(ELEMENTS / PANEL, quarter);
    real *y = take(ELEMENTS / PANEL, ordinary), *x = take(ELEMENTS / PANEL, ordinary);
    K->logarithm(any, y, ELEMENTS / PANEL);
    see(y, ELEMENTS);
    for (ptrdiff_t i = 0; i < ELEMENTS; i++) x[i] = near_1[i] + (x[i] + 1) / 2;
    K->logarithm(x, x, ELEMENTS / PANEL);
    see(x, ELEMENTS);
    end_case(0, 0, 0);
}

static const struct {
    const char *name;
    void (*run)(void);
} KERNELS[] = {
    {"gather", run_gather},       {"gather_columns", run_gather_columns}, {"scatter", run_scatter},
    {"forward", run_forward},     {"output", run_output},                 {"loss", run_loss},
    {"delta", run_delta},         {"gradient", run_gradient},             {"bias_gradient", run_bias_gradient},
    {"update", run_update},       {"squares", run_squares},               {"mirror", run_mirror},
    {"activate", run_activate},   {"derive", run_derive},                 {"softmax_derive", run_softmax_derive},
    {"logarithm", run_logarithm}, {"dropout", run_dropout},               {"sparse", run_sparse},
};

int main(int argc, char **argv)
{
    (void)argv;
    verbose = argc > 1;
    for (int t = 0; (K = fb_table(t, sizeof(real))); t++)
        for (size_t i = 0; i < sizeof KERNELS / sizeof *KERNELS; i++) {
            state = hash = i;
            KERNELS[i].run();
            printf("%s float%d %016" PRIx64 " %s %d\n", KERNELS[i].name, PRECISION, hash, K->isa, K->lanes);
        }
    return 0;
}
