/*
 * The kernel judges it as it judges the application, whose ids, capabilities and mounts this process has: nothing is
 * read or written that the application could not. Nothing here is executed, so that no filter is needed.
 */
#define _GNU_SOURCE
#include "copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../syscalls.h"

enum { FROM_CONTAINER, INTO_CONTAINER, PIECE = 64 << 10 };

int copy_open(const struct op_copy *copy, struct failure *why) {
    bool into = copy->direction == INTO_CONTAINER;
    /* No pipe or device that stands there makes this wait; links of proc lead to other processes' files. */
    struct open_how how = {
        .flags = O_CLOEXEC | O_NOCTTY | O_NONBLOCK | (into ? O_WRONLY | O_CREAT : O_RDONLY),
        .mode = into ? copy->mode : 0,
        .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
    };
    int file = sys_openat2(AT_FDCWD, copy->path, &how);
    if (file < 0) return fail(why, OP_COPY, errno, "%s", copy->path);
    struct stat status;
    int error = 0;
    if (fstat(file, &status) < 0)
        error = errno;
    else if (S_ISDIR(status.st_mode))
        error = EISDIR;
    else if (!S_ISREG(status.st_mode))
        error = EINVAL;
    else if (into && ftruncate(file, 0) < 0)
        error = errno;
    if (error == 0) return file;
    close(file);
    return fail(why, OP_COPY, error, "%s%s", copy->path, error == EINVAL ? ": no regular file" : "");
}

static int write_piece(int fd, const char *bytes, size_t size) {
    for (size_t done = 0; done < size;) {
        ssize_t written = write(fd, bytes + done, size - done);
        if (written < 0 && errno != EINTR) return -1;
        if (written > 0) done += (size_t)written;
    }
    return 0;
}

static int copy_out(const struct op_copy *copy, int file, char *bytes, struct failure *why) {
    for (;;) {
        ssize_t size = read(file, bytes, PIECE);
        if (size == 0) return 0;
        if (size < 0 && errno == EINTR) continue;
        if (size < 0 || write_piece(STDOUT_FILENO, bytes, (size_t)size) < 0)
            return fail(why, OP_COPY, errno, "%s", copy->path);
    }
}

static int copy_in(const struct op_copy *copy, int file, char *bytes, struct failure *why) {
    for (uint64_t left = copy->size; left > 0;) {
        ssize_t size = read(STDIN_FILENO, bytes, left < PIECE ? (size_t)left : PIECE);
        if (size < 0 && errno == EINTR) continue;
        if (size == 0)
            return fail(why, OP_COPY, EPIPE, "%s: %llu bytes are missing", copy->path, (unsigned long long)left);
        if (size < 0 || write_piece(file, bytes, (size_t)size) < 0) return fail(why, OP_COPY, errno, "%s", copy->path);
        left -= (uint64_t)size;
    }
    /* What is full is told by this at the latest (write(2)). */
    return fsync(file) == 0 || errno == EINVAL ? 0 : fail(why, OP_COPY, errno, "%s", copy->path);
}

int copy_all(const struct op_copy *copy, int file, struct failure *why) {
    static char bytes[PIECE];
    return copy->direction == INTO_CONTAINER ? copy_in(copy, file, bytes, why) : copy_out(copy, file, bytes, why);
}
