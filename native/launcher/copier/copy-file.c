/* What one name has: data, owner, extended attributes, mode, times. */
#define _GNU_SOURCE
#include "copier.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>
#include <unistd.h>

/* XATTR_LIST_MAX and XATTR_SIZE_MAX of the kernel. */
#define LONGEST 65536

static char names[LONGEST], value[LONGEST];

/* By read(2) where no call copies between these two. 0 at the end of the file. */
static ssize_t read_and_write(int in, int out, off_t at, size_t length) {
    static char buffer[128 * 1024];
    ssize_t found = pread(in, buffer, length < sizeof buffer ? length : sizeof buffer, at);
    for (ssize_t done = 0; done < found;) {
        ssize_t written = pwrite(out, buffer + done, (size_t)(found - done), at + done);
        if (written < 0) return -1;
        done += written;
    }
    return found;
}

static ssize_t copy_piece(int in, int out, off_t at, size_t length) {
    off_t from = at, to = at;
    ssize_t done = copy_file_range(in, &from, out, &to, length, 0);
    if (done > 0 || (done < 0 && errno != ENOSYS && errno != EXDEV && errno != EINVAL && errno != EOPNOTSUPP))
        return done;
    /* Some file systems copy nothing by it, and say so with 0. */
    return read_and_write(in, out, at, length);
}

static int copy_extent(struct copier *c, int in, int out, const char *name, off_t at, off_t end) {
    while (at < end) {
        size_t length = end - at < 4 * 1024 * 1024 ? (size_t)(end - at) : 4 * 1024 * 1024;
        if (count_bytes(c, length) != 0) return -1;
        ssize_t done = copy_piece(in, out, at, length);
        if (done < 0) return copier_failed(c, "write", name);
        if (done == 0) return 0;
        c->bytes -= length - (size_t)done;
        at += done;
    }
    return 0;
}

static int copy_data(struct copier *c, int in, int out, const char *name, off_t size) {
    struct stat is;
    if (fstat(in, &is) == 0 && ioctl(out, FICLONE, in) == 0) {
        uint64_t blocks = (uint64_t)is.st_blocks * 512;
        return count_bytes(c, blocks < (uint64_t)is.st_size ? blocks : (uint64_t)is.st_size);
    }
    for (off_t at = 0; at < size;) {
        at = lseek(in, at, SEEK_DATA);
        if (at < 0 && errno == ENXIO) break; /* a hole up to the end */
        off_t end = at < 0 ? -1 : lseek(in, at, SEEK_HOLE);
        if (end < 0) return copier_failed(c, "seek", name);
        if (end > size) end = size;
        if (copy_extent(c, in, out, name, at, end) != 0) return -1;
        at = end;
    }
    return ftruncate(out, size) == 0 ? 0 : copier_failed(c, "write", name);
}

/*
 * Some are for empty files alone, so they come first. Without immutable and append-only: what nobody may delete or
 * rename could neither be put back nor given up.
 */
void copy_flags(int in, int out) {
    enum {
        KEPT = FS_SYNC_FL | FS_DIRSYNC_FL | FS_NODUMP_FL | FS_NOATIME_FL | FS_COMPR_FL | FS_NOCOW_FL | FS_CASEFOLD_FL |
               FS_PROJINHERIT_FL,
    };
    int flags[2] = {0}, made[2] = {0}; /* some file systems write a long */
    if (ioctl(in, FS_IOC_GETFLAGS, flags) != 0 || ioctl(out, FS_IOC_GETFLAGS, made) != 0) return;
    int wanted[2] = {(made[0] & ~KEPT) | (flags[0] & KEPT)};
    if (wanted[0] != made[0]) (void)!ioctl(out, FS_IOC_SETFLAGS, wanted);
}

int copy_file(struct copier *c, int from, int to, const char *name, const struct stat *is) {
    int in = open_beneath(from, name, O_RDONLY | O_NOATIME);
    if (in < 0) return copier_failed(c, "open", name);
    struct stat opened;
    int out = -1, result = -1;
    if (fstat(in, &opened) != 0 || opened.st_ino != is->st_ino || !S_ISREG(opened.st_mode)) {
        errno = ESTALE;
        copier_failed(c, "open", name);
    } else if ((out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600)) < 0)
        copier_failed(c, "create", name);
    else {
        copy_flags(in, out);
        result = copy_data(c, in, out, name, opened.st_size);
    }
    int saved = errno;
    close(in);
    if (out >= 0) close(out);
    errno = saved;
    return result;
}

/* By the directory's descriptor: no link is followed on the way, nor at its end. */
static int copy_attributes(struct copier *c, const char *source, const char *target, const char *name) {
    ssize_t length = llistxattr(source, names, sizeof names);
    if (length < 0) return errno == EOPNOTSUPP ? 0 : copier_failed(c, "listxattr", name);
    for (const char *each = names; each < names + length; each += strlen(each) + 1) {
        ssize_t size = lgetxattr(source, each, value, sizeof value);
        if (size < 0 || lsetxattr(target, each, value, (size_t)size, 0) != 0) return copier_failed(c, each, name);
    }
    return 0;
}

int copy_metadata(struct copier *c, int from, int to, const char *name, const struct stat *is) {
    char source[300], target[300];
    snprintf(source, sizeof source, "/proc/self/fd/%d/%s", from, name);
    snprintf(target, sizeof target, "/proc/self/fd/%d/%s", to, name);
    /* A change of the owner takes away what comes after it. */
    if (fchownat(to, name, is->st_uid, is->st_gid, AT_SYMLINK_NOFOLLOW) != 0) return copier_failed(c, "chown", name);
    if (copy_attributes(c, source, target, name) != 0) return -1;
    if (!S_ISLNK(is->st_mode) && fchmodat(to, name, is->st_mode & 07777, 0) != 0)
        return copier_failed(c, "chmod", name);
    const struct timespec times[2] = {is->st_atim, is->st_mtim};
    if (utimensat(to, name, times, AT_SYMLINK_NOFOLLOW) != 0) return copier_failed(c, "utimes", name);
    return 0;
}
