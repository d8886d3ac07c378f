#include "../fastbp.h"
#include "../target.h"
#define FB_REAL 32
#include "../simd/real.h"
#include "../simd/scalar.h"
#include "../kernels/all.h"
const fb_kernels fb_baseline_f32 = FB_KERNELS("baseline");
