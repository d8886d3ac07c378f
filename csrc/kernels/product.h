/* The register-blocked product behind F, BP2 and BP4: C = start + A B, each element one chain of fma, k ascending.
 *
 * A is read one element at a time and broadcast, B and C in vectors along a panel. The tile is written once;
 * TILES(X) of the instruction set lists the shapes (rows x vectors) that the compiler makes of it. */
typedef struct {
    const real *A; /* element (r, k) */
    ptrdiff_t A_ld;
    const real *B; /* panel p, line k at B + p B_panel + k PANEL */
    ptrdiff_t B_panel;
    const real *start; /* panel p of row r at start + p start_panel + r start_row */
    ptrdiff_t start_panel, start_row;
    real *C; /* panel p of row r at C + p C_panel + r PANEL */
    ptrdiff_t C_panel;
    ptrdiff_t rows;
    int far; /* B is too large for L2: ask for the panels that come next */
} product;

static const real ZEROS[PANEL] = {0};

/* Lines of B that a block takes, B's share of L1 (8 KB, or 6 of doubles, of which A takes more) while the rows of A pass
 * by it; and the bytes of a matrix that is too large for L2. */
enum { K_BLOCK = 64 + 256 / sizeof(real), FAR = 1 << 20 };

/* Where the block that begins at k ends: the last one may be half as long again. */
FB_INLINE ptrdiff_t block_end(ptrdiff_t k, ptrdiff_t K, ptrdiff_t block)
{
    return K - k < block + block / 2 ? K : k + block;
}

/* The size of the next part when `remaining` is cut into the fewest nearly equal parts of at most `most`. */
FB_INLINE ptrdiff_t next_part(ptrdiff_t remaining, ptrdiff_t most)
{
    const ptrdiff_t parts = (remaining + most - 1) / most;
    return (remaining + parts - 1) / parts;
}

/* Vectors in `panels` panels; of one panel half as many where they hold its columns, and half of that, and so on. */
FB_INLINE ptrdiff_t vectors_of(ptrdiff_t panels, ptrdiff_t columns)
{
    ptrdiff_t vecs = panels * VECS;
    while (vecs > 1 && columns <= vecs / 2 * LANES) vecs /= 2;
    return vecs;
}

/* acc[r][.] += A[r row_step + k k_step] B[k][.] for k < K */
FB_INLINE void chain(int rows, int vecs, vec acc[][ROW_PANELS * VECS], const real *A, ptrdiff_t row_step,
                     ptrdiff_t k_step, const real *B, ptrdiff_t B_panel, ptrdiff_t K)
{
    for (ptrdiff_t k = 0; k < K; k++) {
        vec line[ROW_PANELS * VECS];
        FB_UNROLL (int v = 0; v < vecs; v++) line[v] = v_load(B + v / VECS * B_panel + k * PANEL + v % VECS * LANES);
        FB_UNROLL (int r = 0; r < rows; r++) {
            const vec x = v_set(A[r * row_step + k * k_step]);
            FB_UNROLL (int v = 0; v < vecs; v++) acc[r][v] = v_fma(x, line[v], acc[r][v]);
        }
    }
}

/* Rows r0.. and lines k0..k1 of the product. by_rows: A lies in panels along k (F, BP2); else along r (BP4). */
FB_INLINE void tile(int by_rows, int rows, int vecs, const product *p, ptrdiff_t r0, ptrdiff_t k0, ptrdiff_t k1)
{
    vec acc[MAX_ROWS][ROW_PANELS * VECS];
    const int first = k0 == 0;
    const real *start = first ? p->start + r0 * p->start_row : p->C + r0 * PANEL;
    const ptrdiff_t start_row = first ? p->start_row : PANEL, start_panel = first ? p->start_panel : p->C_panel;
    real *C = p->C + r0 * PANEL;

    FB_UNROLL (int r = 0; r < rows; r++)
        FB_UNROLL (int v = 0; v < vecs; v++)
            acc[r][v] = v_load(start + v / VECS * start_panel + r * start_row + v % VECS * LANES);
    if (by_rows) {
        for (ptrdiff_t k = k0; k < k1; k += PANEL) {
            const real *A = p->A + k * p->A_ld + r0 * PANEL;
            chain(rows, vecs, acc, A, PANEL, 1, p->B + k * PANEL, p->B_panel, k1 - k < PANEL ? k1 - k : PANEL);
        }
    } else {
        chain(rows, vecs, acc, p->A + k0 * PANEL + r0, 1, PANEL, p->B + k0 * PANEL, p->B_panel, k1 - k0);
    }
    FB_UNROLL (int r = 0; r < rows; r++)
        FB_UNROLL (int v = 0; v < vecs; v++)
            v_store(C + v / VECS * p->C_panel + r * PANEL + v % VECS * LANES, acc[r][v]);
}

/* Lines k0..k1 of the product, for the vectors_of() up to MAX_PANELS panels of B and C; of a single row, ROW_PANELS.
 * Without lines C is the start; without rows there is nothing to do. */
FB_INLINE void multiply(int by_rows, const product *p, ptrdiff_t vecs, ptrdiff_t k0, ptrdiff_t k1)
{
    const ptrdiff_t most_rows = TILE_ROWS[vecs], panels = (vecs + VECS - 1) / VECS;
    /* lines to ask for beside each tile */
    const ptrdiff_t share = p->far && p->rows > 0 ? (k1 - k0) * most_rows / p->rows + 1 : 0;
    ptrdiff_t asked = k0, k = k0, k_end;
    do {
        k_end = block_end(k, k1, K_BLOCK);
        for (ptrdiff_t r = 0, rows; r < p->rows; r += rows) {
            rows = next_part(p->rows - r, most_rows);
            for (const ptrdiff_t end = asked + share < k1 ? asked + share : k1; asked < end; asked++)
                for (ptrdiff_t i = 0; i < panels; i++) FB_PREFETCH(p->B + (panels + i) * p->B_panel + asked * PANEL);
            switch (vecs * 16 + rows) {
#define CASE(ROWS, VECTORS)                                                                                            \
    case (VECTORS) * 16 + ROWS:                                                                                        \
        tile(by_rows, ROWS, VECTORS, p, r, k, k_end);                                                                  \
        break;
                TILES(CASE)
#undef CASE
            }
        }
    } while ((k = k_end) < k1);
}

static void multiply_by_rows(const product *p, ptrdiff_t vecs, ptrdiff_t k0, ptrdiff_t k1)
{
    multiply(1, p, vecs, k0, k1);
}
static void multiply_by_columns(const product *p, ptrdiff_t vecs, ptrdiff_t K) { multiply(0, p, vecs, 0, K); }
