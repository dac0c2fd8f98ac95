#define _GNU_SOURCE
#include "descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../syscalls.h"

/* One bit for each number, as many as were claimed yet. */
static uint8_t *claimed;
static int numbers;

int descriptor_identify(int fd, struct identity *is) {
    struct stat found;
    if (fstat(fd, &found) != 0) return -1;
    *is = (struct identity){.device = found.st_dev, .inode = found.st_ino, .mode = found.st_mode & S_IFMT};
    return 0;
}

static int grow(int fd) {
    int more = (fd / 1024 + 1) * 1024;
    uint8_t *larger = realloc(claimed, (size_t)more / 8);
    if (larger == NULL) return -1;
    for (int i = numbers / 8; i < more / 8; i++) larger[i] = 0;
    claimed = larger;
    numbers = more;
    return 0;
}

static bool is_claimed(int fd) { return fd < numbers && claimed[fd / 8] & 1u << fd % 8; }

int descriptor_claim(int fd, const struct identity *is) {
    struct identity found;
    if (descriptor_identify(fd, &found) != 0) return -1;
    errno = ESTALE;
    if (found.device != is->device || found.inode != is->inode || found.mode != is->mode) return -1;
    errno = EEXIST;
    if (fd > STDERR_FILENO && is_claimed(fd)) return -1;
    if (fd >= numbers && grow(fd) != 0) return -1;
    claimed[fd / 8] = (uint8_t)(claimed[fd / 8] | 1u << fd % 8);
    return fd <= STDERR_FILENO ? 0 : fcntl(fd, F_SETFD, FD_CLOEXEC);
}

void descriptors_close_unclaimed(int kept) {
    int first = STDERR_FILENO + 1;
    for (int fd = first; fd < numbers || fd <= kept; fd++) {
        if (!is_claimed(fd) && fd != kept) continue;
        if (fd > first) sys_close_range((unsigned)first, (unsigned)fd - 1, 0);
        first = fd + 1;
    }
    sys_close_range((unsigned)first, ~0u, 0);
}
