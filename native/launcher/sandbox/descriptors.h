/* Descriptors that stay open, and closing all others. */
#pragma once

#include <stddef.h>

#include "../wire.h"

/* More descriptors than any list brings, and those that the init and the application have besides. */
enum { KEPT_LIMIT = FRAME_FDS + 8 };

/* Descriptors that stay open, in order. */
struct kept {
    int fds[KEPT_LIMIT];
    size_t count;
};

/* Adds one unless it is -1 or there already. */
void keep_descriptor(struct kept *kept, int fd);

/* Closes every other descriptor of this process. 0, or -1 and errno. */
int close_others(const struct kept *kept);

/* Closes what a descriptor variable holds when its scope ends, unless that is -1. */
void close_descriptor(const int *fd);
#define cleanup_close __attribute__((cleanup(close_descriptor)))
