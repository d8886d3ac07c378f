#include "../fastbp.h"
#include "../target.h"
#ifdef FB_X86
#include <immintrin.h>
#define FB_REAL 32
#include "../simd/real.h"
FB_TARGET_BEGIN("avx2,fma")
#include "../simd/avx2.h"
#include "../kernels/all.h"
const fb_kernels fb_avx2_f32 = FB_KERNELS("avx2");
FB_TARGET_END
#endif
