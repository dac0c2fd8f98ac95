#define _GNU_SOURCE
#include "memory.h"

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    STACK_RELEASED = 256 << 10, /* less than the gap that the kernel keeps below a stack: nothing else lies there */
    FRAME_OF_CALL = 512,        /* what the call that gives it back has on it */
};

void *spec_alloc(size_t size) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

void spec_free(void *memory, size_t size) {
    if (memory != NULL) munmap(memory, size);
}

void *dontfork_alloc(size_t size) {
    void *memory = spec_alloc(size);
    if (memory == NULL) return NULL;
    if (madvise(memory, size, MADV_DONTFORK) == 0) return memory;
    spec_free(memory, size);
    return NULL;
}

void dontfork_free(void *memory, size_t size) { spec_free(memory, size); }

int dontfork_lend(void *memory, size_t size, bool lent) {
    return madvise(memory, size, lent ? MADV_DOFORK : MADV_DONTFORK);
}

void stack_release(const void *frame, const char *strings) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t own = (uintptr_t)__builtin_frame_address(0) - FRAME_OF_CALL;
    uintptr_t below = own / page * page, above = ((uintptr_t)frame / page + 1) * page;
    uintptr_t top = (uintptr_t)strings / page * page;
    /* ENOMEM says that the stack was never so deep: what there is of it is given back all the same. */
    (void)madvise((void *)(below - STACK_RELEASED), STACK_RELEASED, MADV_DONTNEED);
    if (above < top) (void)madvise((void *)above, top - above, MADV_DONTNEED);
}
