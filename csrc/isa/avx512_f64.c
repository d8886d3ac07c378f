#include "../fastbp.h"
#include "../target.h"
#ifdef FB_X86
#include <immintrin.h>
#define FB_REAL 64
#include "../simd/real.h"
FB_TARGET_BEGIN("avx512f,avx512dq,avx2,fma")
#include "../simd/avx512.h"
#include "../kernels/all.h"
const fb_kernels fb_avx512_f64 = FB_KERNELS("avx512");
FB_TARGET_END
#endif
