/* Buffers whose last byte, or else whose first, stands at a page that may not be touched: what goes beyond dies of it. */
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { BUFFERS = 12, BUFFER = 1 << 22 }; /* of one case; bytes of each at most */

static int used;

static char *first_buffer(size_t page)
{
    static char *first;
    if (first) return first;
    first = mmap(NULL, page + BUFFERS * (BUFFER + page), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (first == MAP_FAILED) abort();
    first += page;
    for (int i = 0; i < BUFFERS; i++)
        if (mprotect(first + i * (BUFFER + page), BUFFER, PROT_READ | PROT_WRITE)) abort();
    return first;
}

static void *guarded(size_t size)
{
    static uint64_t coin;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (used == BUFFERS || size > BUFFER) abort();
    char *buffer = first_buffer(page) + used++ * (BUFFER + page);
    coin = coin * 0x5851f42d4c957f2du + 1;
    return coin >> 63 ? buffer + BUFFER - size : buffer;
}
