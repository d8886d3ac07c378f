/* Dropout (Srivastava and others, JMLR 15, 2014): a unit of a row is zero with probability `rate`, else scaled by
 * 1 / (1 - rate). Which, a hash of (seed, layer, step, row, unit) says: integers alone, the same on every processor. */

/* The finaliser of splitmix64 (Steele, Lea and Flood, OOPSLA 2014). */
FB_INLINE uint64_t mix_64(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* A permutation of 32 bits with little bias: "lowbias32" of https://nullprogram.com/blog/2018/07/31/. */
FB_INLINE uint32_t mix_32(uint32_t x)
{
    x = (x ^ x >> 16) * 0x7feb352du;
    x = (x ^ x >> 15) * 0x846ca68bu;
    return x ^ x >> 16;
}

FB_INLINE uint64_t row_key(const fb_dropout *drop, ptrdiff_t row)
{
    static const uint64_t STRIDE = 0x9e3779b97f4a7c15u; /* 2^64 / golden ratio */
    const uint64_t of_step = mix_64(mix_64(drop->seed + STRIDE * drop->layer) + STRIDE * drop->step);
    return mix_64(of_step + STRIDE * (uint64_t)row);
}

/* 32 random bits for a unit of the row. */
FB_INLINE uint32_t unit_bits(uint64_t key, ptrdiff_t unit)
{
    return mix_32((uint32_t)key + 0x9e3779b9u * (uint32_t)unit) ^ (uint32_t)(key >> 32);
}

FB_INLINE uint32_t drop_below(const fb_dropout *drop) { return (uint32_t)(drop->rate * 4294967296.0); }
FB_INLINE real keep_scale(const fb_dropout *drop) { return (real)(1 / (1 - drop->rate)); }

static void dropout(const fb_dropout *drop, ptrdiff_t first, const real *x, real *y, ptrdiff_t n, ptrdiff_t n_columns,
                    ptrdiff_t ld)
{
    const uint32_t below = drop_below(drop);
    const real scale = keep_scale(drop);
    for (ptrdiff_t s = 0; s < n; s++) {
        const uint64_t key = row_key(drop, first + s);
        for (ptrdiff_t k = 0; k < n_columns; k += PANEL) {
            const real *from = x + k * ld + s * PANEL;
            real *to = y + k * ld + s * PANEL;
            for (ptrdiff_t i = 0; i < PANEL; i++) {
                const real scaled = from[i] * scale;
                to[i] = unit_bits(key, k + i) < below ? 0 : scaled;
            }
        }
    }
}
