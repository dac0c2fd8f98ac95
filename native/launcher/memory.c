#define _GNU_SOURCE
#include "memory.h"

#include <sys/mman.h>

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
