/* The yardstick of the benchmarks: what this processor does at most, independent chains of fma and nothing else. */
static double fma_peak(ptrdiff_t n_rounds, double *sink)
{
    enum { CHAINS = 10 }; /* covers 5 cycles of latency on 2 ports, within 16 registers */
    vec acc[CHAINS];
    real last[PANEL] = {0};
    const vec x = v_set((real)0.5), y = v_set((real)0.25);
    FB_UNROLL (int i = 0; i < CHAINS; i++) acc[i] = v_set((real)i);
    for (ptrdiff_t round = 0; round < n_rounds; round++)
        FB_UNROLL (int i = 0; i < CHAINS; i++) acc[i] = v_fma(acc[i], x, y);
    FB_UNROLL (int i = 1; i < CHAINS; i++) acc[0] = v_add(acc[0], acc[i]);
    v_store(last, acc[0]);
    *sink = sum_line(last); /* so that the loop is not dead */
    return 2.0 * CHAINS * LANES * (double)n_rounds;
}
