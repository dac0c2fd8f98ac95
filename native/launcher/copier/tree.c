/* The walk: one directory after the other, in the order in which they are read. */
#define _GNU_SOURCE
#include "copier.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "../syscalls.h"

/* Two descriptors and a buffer of readdir(3) for each. */
#define DEEPEST 256

int open_beneath(int directory, const char *name, int flags) {
    struct open_how how = {
        .flags = (uint64_t)(unsigned)(flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK),
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
    };
    for (;;) {
        int fd = sys_openat2(directory, name, &how);
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR)) return fd;
    }
}

int copier_failed(struct copier *c, const char *step, const char *name) {
    c->step = step;
    size_t length = strnlen(name, sizeof c->name - 1);
    for (size_t i = 0; i < length; i++) c->name[i] = name[i] > ' ' && name[i] < 0x7f ? name[i] : '?';
    c->name[length] = '\0';
    return -1;
}

static int exceeds(struct copier *c, const char *what, const char *name) {
    c->exceeds = what;
    return copier_failed(c, what, name);
}

int count_bytes(struct copier *c, uint64_t bytes) {
    c->bytes += bytes;
    return c->bytes > c->most_bytes ? exceeds(c, "bytes", ".") : 0;
}

static int copy_below(struct copier *c, int from, int to, const char *name, const struct stat *is, unsigned depth) {
    if (depth >= DEEPEST) return exceeds(c, "depth", name);
    int source = open_beneath(from, name, O_RDONLY | O_DIRECTORY);
    if (source < 0) return copier_failed(c, "open", name);
    if (c->links < 0) return copy_directory(c, source, -1, depth + 1);
    int target = -1;
    if (mkdirat(to, name, 0700) != 0 || (target = open_beneath(to, name, O_RDONLY | O_DIRECTORY)) < 0) {
        copier_failed(c, "mkdir", name);
        close(source);
        return -1;
    }
    copy_flags(source, target);
    int result = copy_directory(c, source, target, depth + 1);
    close(target);
    return result == 0 ? copy_metadata(c, from, to, name, is) : -1;
}

static int copy_link(struct copier *c, int from, int to, const char *name) {
    char text[PATH_MAX];
    ssize_t length = readlinkat(from, name, text, sizeof text - 1);
    if (length < 0) return copier_failed(c, "readlink", name);
    text[length] = '\0';
    return symlinkat(text, to, name) == 0 ? 0 : copier_failed(c, "symlink", name);
}

static int copy_one(struct copier *c, int from, int to, const char *name, const struct stat *is) {
    if (S_ISREG(is->st_mode)) return copy_file(c, from, to, name, is);
    if (S_ISLNK(is->st_mode)) return copy_link(c, from, to, name);
    return mknodat(to, name, is->st_mode, is->st_rdev) == 0 ? 0 : copier_failed(c, "mknod", name);
}

static uint64_t size_of(const struct stat *is) {
    uint64_t blocks = (uint64_t)is->st_blocks * 512, size = (uint64_t)is->st_size;
    return blocks < size ? blocks : size;
}

static int copy_entry(struct copier *c, int from, int to, const char *name, unsigned depth) {
    struct stat is;
    if (fstatat(from, name, &is, AT_SYMLINK_NOFOLLOW) != 0) return copier_failed(c, "stat", name);
    if (++c->entries > c->most_entries) return exceeds(c, "entries", name);
    if (is.st_dev != c->device) {
        errno = EXDEV;
        return copier_failed(c, "open", name);
    }
    if (S_ISDIR(is.st_mode)) return copy_below(c, from, to, name, &is, depth);
    if (c->links < 0) return S_ISREG(is.st_mode) ? count_bytes(c, size_of(&is) / is.st_nlink) : 0;
    char inode[24];
    snprintf(inode, sizeof inode, "%ju", (uintmax_t)is.st_ino);
    if (is.st_nlink > 1) {
        if (linkat(c->links, inode, to, name, 0) == 0) return 0;
        if (errno != ENOENT) return copier_failed(c, "link", name);
    }
    if (copy_one(c, from, to, name, &is) != 0 || copy_metadata(c, from, to, name, &is) != 0) return -1;
    if (is.st_nlink > 1 && linkat(to, name, c->links, inode, 0) != 0) return copier_failed(c, "link", name);
    return 0;
}

int copy_directory(struct copier *c, int from, int to, unsigned depth) {
    DIR *listing = fdopendir(from);
    if (listing == NULL) {
        copier_failed(c, "read", ".");
        close(from);
        return -1;
    }
    int result = 0;
    while (result == 0) {
        errno = 0;
        const struct dirent *entry = readdir(listing);
        if (entry == NULL) {
            if (errno != 0) result = copier_failed(c, "read", ".");
            break;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        result = copy_entry(c, from, to, entry->d_name, depth);
    }
    int saved = errno;
    closedir(listing);
    errno = saved;
    return result;
}
