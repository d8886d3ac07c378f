/* What differs between compilers: compiling a region for one instruction set, and unrolling a loop. */
#ifndef FB_TARGET_H
#define FB_TARGET_H

#define FB_PRAGMA(...) _Pragma(#__VA_ARGS__)

#if defined(__clang__)
#define FB_TARGET_BEGIN(isa) FB_PRAGMA(clang attribute push(__attribute__((target(isa))), apply_to = function))
#define FB_TARGET_END _Pragma("clang attribute pop")
#define FB_UNROLL(...) _Pragma("unroll") for (__VA_ARGS__)
#elif defined(__GNUC__)
#define FB_TARGET_BEGIN(isa) _Pragma("GCC push_options") FB_PRAGMA(GCC target(isa))
#define FB_TARGET_END _Pragma("GCC pop_options")
#define FB_UNROLL(...) _Pragma("GCC unroll 64") for (__VA_ARGS__)
#else
#define FB_UNROLL(...) for (__VA_ARGS__)
#endif

/* A function whose constant arguments must reach its loops: one tile is written once and compiled for each shape. */
#if defined(__GNUC__)
#define FB_INLINE static inline __attribute__((always_inline, unused))
#else
#define FB_INLINE static inline
#endif

/* Ask for a cache line before it is needed. */
#if defined(__GNUC__)
#define FB_PREFETCH(p) __builtin_prefetch(p)
#else
#define FB_PREFETCH(p) ((void)(p))
#endif

/* On Arm, clang makes FMIN and FMAX, which differ in NaN and signed zero, of a select by its own comparison
 * (https://github.com/llvm/llvm-project/issues/93414): it must not see whence the mask comes. */
#if defined(__clang__)
#define FB_UNSEEN(mask, where) __asm__("" : where(mask))
#else
#define FB_UNSEEN(mask, where) ((void)0)
#endif

#if defined(__x86_64__) && defined(__GNUC__)
#define FB_X86 1
#endif
#if defined(__aarch64__)
#define FB_NEON 1
#endif

#endif
