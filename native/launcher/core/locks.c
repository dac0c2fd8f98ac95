#define _GNU_SOURCE
#include "locks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "say.h"

static int make_directories(const char *directory) {
    char path[4096];
    size_t size = strlen(directory);
    if (size == 0 || size >= sizeof path) {
        errno = size == 0 ? ENOENT : ENAMETOOLONG;
        return -1;
    }
    memcpy(path, directory, size + 1);
    for (char *at = path + 1; at <= path + size; at++) {
        if (*at != '/' && *at != '\0') continue;
        char kept = *at;
        *at = '\0';
        if (mkdir(path, 0755) != 0 && errno != EEXIST) return -1;
        *at = kept;
    }
    return 0;
}

/* Who holds the lock, as it wrote in the file; 0 when it could not write, or has not yet. */
static long read_holder(int fd) {
    char text[32] = "";
    ssize_t size = fd < 0 ? -1 : pread(fd, text, sizeof text - 1, 0);
    return size > 0 ? strtol(text, NULL, 10) : 0;
}

/* The note in a directory: to be written, or on a disk that takes no writes to be read; -1 when there is none. */
static int open_note(int parent) {
    int note = openat(parent, ".lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    int error = errno;
    if (note < 0) note = openat(parent, ".lock", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    errno = error;
    return note;
}

/*
 * The directory itself is locked, which a disk that has become read-only, or is full, does not prevent, and nobody
 * undoes by deleting a file. A file system that locks only what is open for writing (EBADF, NFS) has the note for it.
 */
static bool lock_either(int parent, int note) {
    if (flock(parent, LOCK_EX | LOCK_NB) == 0)
        return note < 0 || flock(note, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
    return errno == EBADF && note >= 0 && flock(note, LOCK_EX | LOCK_NB) == 0;
}

/* Which process has it, as far as its note says. */
static int refuse(struct failure *why, const char *directory, int note) {
    long holder = errno == EWOULDBLOCK ? read_holder(note) : 0;
    if (holder > 0) return fail(why, STEP_REQUEST, EWOULDBLOCK, "%s is in use by process %ld", directory, holder);
    if (errno == EWOULDBLOCK) return fail(why, STEP_REQUEST, errno, "%s is in use by another process", directory);
    return fail(why, STEP_REQUEST, errno, "flock %s: %s", directory, strerror(errno));
}

int lock_opened(struct locks *locks, const char *directory, int parent, int note, struct failure *why) {
    struct stat stats;
    if (fstat(parent, &stats) != 0) return fail(why, STEP_REQUEST, errno, "%s", directory);
    for (size_t i = 0; i < locks->count; i++)
        if (locks->held[i].device == stats.st_dev && locks->held[i].inode == stats.st_ino) return LOCK_HELD;
    if (locks->count == LOCK_LIMIT) return fail(why, STEP_REQUEST, ENOSPC, "%s", directory);
    if (!lock_either(parent, note)) return refuse(why, directory, note);
    locks->held[locks->count++] =
        (struct held){.device = stats.st_dev, .inode = stats.st_ino, .parent = parent, .note = note};
    if (note >= 0 && (ftruncate(note, 0) != 0 || dprintf(note, "%d\n", getpid()) <= 0))
        say("%s/.lock cannot be written: %s", directory, strerror(errno));
    return LOCK_NEW;
}

enum locked lock_directory(struct locks *locks, const char *directory) {
    int error = make_directories(directory) == 0 ? 0 : errno;
    int parent = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent < 0) {
        if (error == 0) error = errno;
        say("%s cannot be locked: %s", directory, strerror(error));
        return error == EROFS ? LOCK_NOWHERE : LOCK_REFUSED;
    }
    int note = open_note(parent);
    if (note < 0) say("%s/.lock cannot be written: %s", directory, strerror(errno));
    struct failure why = {0};
    int locked = lock_opened(locks, directory, parent, note, &why);
    if (locked == LOCK_NEW) return LOCK_TAKEN; /* the locks live as long as their descriptors, which stay open */
    if (locked < 0) say("%s", why.subject);
    close(parent);
    if (note >= 0) close(note);
    return locked == LOCK_HELD ? LOCK_TAKEN : LOCK_REFUSED;
}
