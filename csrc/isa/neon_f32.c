#include "../fastbp.h"
#include "../target.h"
#ifdef FB_NEON
#include <arm_neon.h>
#define FB_REAL 32
#include "../simd/real.h"
#include "../simd/neon.h"
#include "../kernels/all.h"
const fb_kernels fb_neon_f32 = FB_KERNELS("neon");
#endif
