/* Preloaded into Python (LD_PRELOAD): fails one allocation of chosen libraries, and counts the blocks that they hold.
 *
 * All functions are called from one thread, but for malloc and its kin. glibc alone has __libc_malloc. */
#define _GNU_SOURCE
#include <link.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void __libc_free(void *);

enum { N_RANGES = 256, N_SLOTS = 1 << 21 };
static struct { uintptr_t begin, end; } ranges[N_RANGES];
static int n_ranges;
static long n_seen, fails_at; /* allocations since faults_arm; the one that fails, 0: none */
static int armed;
static uintptr_t held[N_SLOTS]; /* a hash table of blocks */
static long n_held;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int include(struct dl_phdr_info *library, size_t size, void *part_of_name)
{
    const char *part_wanted = part_of_name, *name = library->dlpi_name;
    (void)size;
    if (n_ranges == N_RANGES || !(*part_wanted ? strstr(name, part_wanted) != NULL : !*name)) return 0;
    for (int i = 0; i < library->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &library->dlpi_phdr[i];
        if (part->p_type != PT_LOAD || !(part->p_flags & PF_X)) continue;
        ranges[n_ranges].begin = library->dlpi_addr + part->p_vaddr;
        ranges[n_ranges++].end = library->dlpi_addr + part->p_vaddr + part->p_memsz;
    }
    return 0;
}

/* The loaded libraries whose path contains this; "" is the program itself. */
void faults_include(const char *part_of_name) { dl_iterate_phdr(include, (void *)part_of_name); }

void faults_arm(long n)
{
    n_seen = 0;
    fails_at = n;
    armed = 1;
}

/* How many allocations there were. */
long faults_disarm(void)
{
    armed = 0;
    return n_seen;
}

long faults_held(void) { return n_held; }

static int is_chosen(const void *caller)
{
    for (int i = 0; i < n_ranges; i++)
        if ((uintptr_t)caller >= ranges[i].begin && (uintptr_t)caller < ranges[i].end) return 1;
    return 0;
}

static int fails(void)
{
    return __atomic_load_n(&armed, __ATOMIC_RELAXED) && __atomic_add_fetch(&n_seen, 1, __ATOMIC_RELAXED) == fails_at;
}

static size_t slot_of(const void *block) { return ((uintptr_t)block >> 4) * 0x9e3779b97f4a7c15u >> 43; }

static void *hold(void *block)
{
    if (!block) return NULL;
    pthread_mutex_lock(&lock);
    size_t i = slot_of(block);
    while (held[i]) i = (i + 1) % N_SLOTS;
    held[i] = (uintptr_t)block;
    n_held++;
    pthread_mutex_unlock(&lock);
    return block;
}

/* The slots after the block's move up, lest a search end before one of them. */
static void let_go(const void *block)
{
    pthread_mutex_lock(&lock);
    size_t i = slot_of(block);
    while (held[i] && held[i] != (uintptr_t)block) i = (i + 1) % N_SLOTS;
    if (held[i]) {
        n_held--;
        for (size_t j = (i + 1) % N_SLOTS; held[j]; j = (j + 1) % N_SLOTS) {
            const size_t at_best = slot_of((void *)held[j]);
            if (i <= j ? i < at_best && at_best <= j : i < at_best || at_best <= j) continue;
            held[i] = held[j];
            i = j;
        }
        held[i] = 0;
    }
    pthread_mutex_unlock(&lock);
}

void *malloc(size_t size)
{
    if (!n_ranges || !is_chosen(__builtin_return_address(0))) return __libc_malloc(size);
    return fails() ? NULL : hold(__libc_malloc(size));
}

void *calloc(size_t n, size_t size)
{
    if (!n_ranges || !is_chosen(__builtin_return_address(0))) return __libc_calloc(n, size);
    return fails() ? NULL : hold(__libc_calloc(n, size));
}

void *realloc(void *block, size_t size)
{
    if (!n_ranges || !is_chosen(__builtin_return_address(0))) return __libc_realloc(block, size);
    if (fails()) return NULL;
    let_go(block);
    return hold(__libc_realloc(block, size));
}

void free(void *block)
{
    if (n_ranges && block) let_go(block);
    __libc_free(block);
}

/* The memory of NumPy's arrays, as a PyDataMemAllocator has it: NumPy itself keeps small blocks back. */
void *faults_array_malloc(void *_, size_t size) { return (void)_, fails() ? NULL : hold(__libc_malloc(size)); }
void *faults_array_calloc(void *_, size_t n, size_t size) { return (void)_, fails() ? NULL : hold(__libc_calloc(n, size)); }
void *faults_array_realloc(void *_, void *block, size_t size)
{
    (void)_;
    if (fails()) return NULL;
    let_go(block);
    return hold(__libc_realloc(block, size));
}
void faults_array_free(void *_, void *block, size_t size)
{
    (void)_, (void)size;
    free(block);
}
