/* Closing every descriptor but some. */
#define _GNU_SOURCE
#include "descriptors.h"

#include <string.h>

#include "../syscalls.h"

void keep_descriptor(struct kept *kept, int fd) {
    size_t at = 0;
    while (at < kept->count && kept->fds[at] < fd) at++;
    if (fd < 0 || kept->count == KEPT_LIMIT || (at < kept->count && kept->fds[at] == fd)) return;
    memmove(kept->fds + at + 1, kept->fds + at, (kept->count - at) * sizeof fd);
    kept->fds[at] = fd;
    kept->count++;
}

int close_others(const struct kept *kept) {
    unsigned next = 0;
    for (size_t i = 0; i < kept->count; i++) {
        unsigned fd = (unsigned)kept->fds[i];
        if (fd > next && sys_close_range(next, fd - 1, 0) < 0) return -1;
        next = fd + 1;
    }
    return sys_close_range(next, ~0u, 0);
}

void close_descriptor(const int *fd) {
    if (*fd >= 0) close(*fd);
}
