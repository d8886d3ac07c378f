/* A barrier for the threads of one parallel region: spins for some microseconds, as long as a phase may take to end
 * everywhere, then yields, so that threads which share a core with others do not wait in vain. */
#ifndef FB_BARRIER_H
#define FB_BARRIER_H

#include <stdatomic.h>
#if defined(_WIN32)
#include <windows.h>
#define FB_YIELD() SwitchToThread()
#else
#include <sched.h>
#define FB_YIELD() sched_yield()
#endif

#if defined(__x86_64__) || defined(__i386__)
#define FB_PAUSE() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define FB_PAUSE() __asm__ __volatile__("yield")
#else
#define FB_PAUSE() ((void)0)
#endif

/* Pauses before the first yield: about 20 microseconds. */
enum { FB_SPINS = 1000 };

typedef struct {
    _Alignas(64) atomic_int arrived;
    _Alignas(64) atomic_int round;
} fb_barrier;

static inline void fb_barrier_init(fb_barrier *barrier)
{
    atomic_init(&barrier->arrived, 0);
    atomic_init(&barrier->round, 0);
}

/* Returns once all n_threads have called it; what each wrote before is visible to all after. */
static inline void fb_barrier_wait(fb_barrier *barrier, int n_threads)
{
    if (n_threads == 1) return;
    const int round = atomic_load_explicit(&barrier->round, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&barrier->arrived, 1, memory_order_acq_rel) == n_threads - 1) {
        atomic_store_explicit(&barrier->arrived, 0, memory_order_relaxed);
        atomic_store_explicit(&barrier->round, round + 1, memory_order_release);
        return;
    }
    for (int spins = 0; atomic_load_explicit(&barrier->round, memory_order_acquire) == round; spins++) {
        if (spins < FB_SPINS)
            FB_PAUSE();
        else
            FB_YIELD();
    }
}

#endif
