/* Detached trees, and what they are copied from. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../launcher/syscalls.h"
#include "stage.h"

enum { TREE_CLONE = 1, TREE_RECURSIVE = 0x8000, MOST_LINKS = 40 };

/* With flags of its own, and private, so that no mount event of the host reaches it. */
static int put_tree(struct stage *stage, const struct deed *deed, int tree, const char *what) {
    unsigned recursive = deed->number[0] == 1 ? TREE_RECURSIVE : 0;
    struct mount_attr attributes = {.attr_set = deed->number[1], .propagation = MS_PRIVATE};
    if (put_slot(stage, deed->slot, tree, what) != 0) return -1;
    if (sys_mount_setattr(tree, "", AT_EMPTY_PATH | recursive, &attributes) == 0) return 0;
    return refuse(stage, errno, "mount_setattr %s", what);
}

int do_tree(struct stage *stage, const struct deed *deed) {
    unsigned flags = TREE_CLONE | O_CLOEXEC | (deed->number[0] == 1 ? TREE_RECURSIVE : 0);
    return put_tree(stage, deed, sys_open_tree(AT_FDCWD, deed->text[0], flags), deed->text[0]);
}

int do_tree_of(struct stage *stage, const struct deed *deed) {
    unsigned flags = TREE_CLONE | O_CLOEXEC | AT_EMPTY_PATH | (deed->number[0] == 1 ? TREE_RECURSIVE : 0);
    return put_tree(stage, deed, sys_open_tree(stage->slots[deed->from], "", flags), "a tree");
}

/* A rename or a mount may race with the resolution (EAGAIN), which is then begun anew. */
static int open_how(int directory, const char *path, uint64_t flags, uint64_t resolve) {
    struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = resolve};
    int fd;
    do fd = sys_openat2(directory, path, &how);
    while (fd < 0 && (errno == EAGAIN || errno == EINTR));
    return fd;
}

int do_within(struct stage *stage, const struct deed *deed) {
    int root = open(deed->text[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) return refuse(stage, errno, "%s", deed->text[0]);
    int fd = open_how(root, deed->text[1], O_PATH, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
    int error = errno;
    close(root);
    errno = error;
    return put_slot(stage, deed->slot, fd, deed->text[1]);
}

/* Whatever has this name, a link itself; what is mounted on demand is mounted (autofs(5)). */
static int open_entry(int directory, const char *name) {
    enum { ONE_NAME = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS };
    int fd = open_how(directory, name, O_PATH | O_DIRECTORY | O_NOFOLLOW, ONE_NAME);
    if (fd >= 0 || (errno != ENOTDIR && errno != ELOOP)) return fd;
    return open_how(directory, name, O_PATH | O_NOFOLLOW, ONE_NAME);
}

/* Only root can have made this entry: it alone may write there, or it owns it and the directory is sticky. */
static bool is_ours(const struct stat *directory, const struct stat *entry) {
    if (directory->st_uid != 0) return false;
    bool open = (directory->st_mode & (S_IWGRP | S_IWOTH)) != 0;
    return !open || ((directory->st_mode & S_ISVTX) != 0 && entry->st_uid == 0);
}

/* The way of a bind's path, name by name. */
struct way {
    int at;
    bool ours; /* nobody but root can have put something else in its place */
    int links;
    char pending[2 * PATH_MAX + 2];
};

/* The target of the link `name` takes its place. -1 and errno. */
static int follow(struct way *way, const char *name, const char *rest) {
    char target[PATH_MAX];
    ssize_t size = readlinkat(way->at, name, target, sizeof target);
    if (size < 0) return -1;
    if ((size_t)size == sizeof target || ++way->links > MOST_LINKS || !way->ours) {
        errno = ELOOP;
        return -1;
    }
    char next[sizeof way->pending];
    if (snprintf(next, sizeof next, "%.*s/%s", (int)size, target, rest) >= (int)sizeof next) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(way->pending, next, sizeof next);
    if (target[0] != '/') return 0;
    close(way->at);
    way->ours = true;
    way->at = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return way->at < 0 ? -1 : 0;
}

/* Goes to `name`; `rest` is what comes after it. -1 and errno: EXDEV where a link or `..` is not ours to follow. */
static int go_on(struct way *way, const char *name, const char *rest) {
    bool up = strcmp(name, "..") == 0;
    if (up && !way->ours) {
        errno = EXDEV;
        return -1;
    }
    int next = up ? openat(way->at, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : open_entry(way->at, name);
    struct stat directory, entry;
    if (next < 0) return -1;
    bool known = fstat(way->at, &directory) == 0 && fstat(next, &entry) == 0;
    bool ours = known && way->ours && is_ours(&directory, &entry);
    if (known && S_ISLNK(entry.st_mode)) {
        close(next);
        if (ours) return follow(way, name, rest);
        errno = EXDEV;
        return -1;
    }
    close(way->at);
    way->at = next;
    way->ours = ours;
    memmove(way->pending, rest, strlen(rest) + 1);
    return known ? 0 : -1;
}

/* As controllers/sandbox/bind-source.ts opens it. */
int do_bind(struct stage *stage, const struct deed *deed) {
    struct way way = {.at = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), .ours = true};
    snprintf(way.pending, sizeof way.pending, "%s", deed->text[0]);
    while (way.at >= 0) {
        char name[NAME_MAX + 1];
        const char *begin = way.pending + strspn(way.pending, "/");
        size_t size = strcspn(begin, "/");
        if (size == 0) return put_slot(stage, deed->slot, way.at, deed->text[0]);
        if (size > NAME_MAX) errno = ENAMETOOLONG;
        if (size > NAME_MAX) break;
        memcpy(name, begin, size);
        name[size] = '\0';
        const char *rest = begin + size;
        if (strcmp(name, ".") == 0)
            memmove(way.pending, rest, strlen(rest) + 1);
        else if (go_on(&way, name, rest) != 0)
            break;
    }
    int error = errno;
    if (way.at >= 0) close(way.at);
    return refuse(stage, error, "the bind source %s", deed->text[0]);
}
