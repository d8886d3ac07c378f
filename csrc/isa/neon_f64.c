#include "../fastbp.h"
#include "../target.h"
#ifdef FB_NEON
#include <arm_neon.h>
#define FB_REAL 64
#include "../simd/real.h"
#include "../simd/neon.h"
#include "../kernels/all.h"
const fb_kernels fb_neon_f64 = FB_KERNELS("neon");
#endif
