/* AVX-512 on a processor without it: found before the compiler's <immintrin.h>, this gives csrc/ SIMDe's emulation of the
 * 512-bit intrinsics, on top of AVX2 and FMA, which are real. */
#ifndef CONFORMANCE_IMMINTRIN_H
#define CONFORMANCE_IMMINTRIN_H

#include_next <immintrin.h>

/* Not SIMDE_ENABLE_NATIVE_ALIASES, whose typedef of __m512 clashes with the compiler's own. */
#define SIMDE_X86_AVX512F_ENABLE_NATIVE_ALIASES
#define SIMDE_X86_AVX512DQ_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#define __m512 simde__m512
#define __m512i simde__m512i
#define __m512d simde__m512d

/* These two have no alias in some versions of SIMDe. */
#undef _mm512_shuffle_f32x4
#undef _mm512_shuffle_f64x2
#define _mm512_shuffle_f32x4 simde_mm512_shuffle_f32x4
#define _mm512_shuffle_f64x2 simde_mm512_shuffle_f64x2

/* csrc/target.h came first. No region may be compiled for AVX-512, whose instructions the compiler could then use itself;
 * and the tiles are one function here, not one for each shape, which emulated would compile for a minute. */
#undef FB_TARGET_BEGIN
#undef FB_TARGET_END
#undef FB_INLINE
#define FB_TARGET_BEGIN(isa)
#define FB_TARGET_END
#define FB_INLINE static inline __attribute__((unused))

#endif
