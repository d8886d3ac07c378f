/* Which instruction sets there are, best first, and which of them run on this processor. */
#include "fastbp.h"
#include "target.h"

extern const fb_kernels fb_avx512_f32, fb_avx512_f64, fb_avx2_f32, fb_avx2_f64, fb_neon_f32, fb_neon_f64,
    fb_baseline_f32, fb_baseline_f64;

#ifdef FB_X86
static int runs_avx512(void) { return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq"); }
static int runs_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
#endif
static int runs_always(void) { return 1; }

static const struct {
    const fb_kernels *f32, *f64;
    int (*runs)(void);
} TABLES[] = {
#ifdef FB_X86
    {&fb_avx512_f32, &fb_avx512_f64, runs_avx512},
    {&fb_avx2_f32, &fb_avx2_f64, runs_avx2},
#endif
#ifdef FB_NEON
    {&fb_neon_f32, &fb_neon_f64, runs_always},
#endif
    {&fb_baseline_f32, &fb_baseline_f64, runs_always},
};

const fb_kernels *fb_table(int i, size_t real_size)
{
    for (size_t t = 0; t < sizeof TABLES / sizeof TABLES[0]; t++)
        if (TABLES[t].runs() && i-- == 0) return real_size == sizeof(float) ? TABLES[t].f32 : TABLES[t].f64;
    return NULL;
}
