/* The precision of a translation unit: FB_REAL is 32 or 64. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if FB_REAL == 32
typedef float real;
typedef uint32_t bits;
enum { MANTISSA = 23 };
#else
typedef double real;
typedef uint64_t bits;
enum { MANTISSA = 52 };
#endif

enum { PANEL = 64 / sizeof(real) }; /* columns in a panel: one cache line */
