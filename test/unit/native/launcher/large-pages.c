/*
 * Pages of 64 kB: what a removed attempt had in its place is gone, where the kernel would take only whole pages back;
 * and rings keep their records. Linked with --wrap=madvise.
 */
#define _GNU_SOURCE
#include "../../../../native/launcher/core/attempts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 65536 };

int __real_madvise(void *address, size_t size, int advice);
int __wrap_madvise(void *address, size_t size, int advice);

int __wrap_madvise(void *address, size_t size, int advice) {
    if (advice != MADV_DONTNEED || (uintptr_t)address % PAGE == 0) return __real_madvise(address, size, advice);
    errno = EINVAL;
    return -1;
}

/* No init is killed here. */
int init_kill(const struct init *init, int signal) {
    (void)init;
    (void)signal;
    return 0;
}

static int wrong(const char *what) {
    fprintf(stderr, "%s\n", what);
    return 1;
}

int main(void) {
    struct attempts all = {0};
    if (attempts_open(&all) != 0) return wrong("no memory");
    struct attempt *first = attempt_add(&all, 1), *second = attempt_add(&all, 2);
    memset(first->record, 1, RECORD_LIMIT);
    memset(second->record, 2, RECORD_LIMIT);
    attempt_remove(&all, first);
    for (size_t i = 0; i < RECORD_LIMIT; i++)
        if (first->record[i] != 0) return wrong("something of the removed attempt is left");
    if (second->id != 2 || second->record[0] != 2 || second->record[RECORD_LIMIT - 1] != 2)
        return wrong("its neighbour has lost something");
    return 0;
}
