#define _GNU_SOURCE
#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "../inherited.h"
#include "../syscalls.h"
#include "frames.h"
#include "say.h"

/*
 * What Linux 5.10 has may still be missing: left out of the kernel, or refused by a filter around us (seccomp(2)). That
 * is said now, and not by a container that cannot be stopped. No call accepts these arguments; only ENOSYS tells
 * something.
 */
static int check_calls(void) {
    static const struct {
        const char *name;
        long number;
    } NEEDED[] = {
        {"clone3", SYS_clone3},
        {"close_range", SYS_close_range},
        {"execveat", SYS_execveat},
        {"fsconfig", SYS_fsconfig},
        {"fsmount", SYS_fsmount},
        {"fsopen", SYS_fsopen},
        {"memfd_create", SYS_memfd_create},
        {"move_mount", SYS_move_mount},
        {"open_tree", SYS_open_tree},
        {"openat2", SYS_openat2},
        {"pidfd_open", SYS_pidfd_open},
        {"pidfd_send_signal", SYS_pidfd_send_signal},
        {"seccomp", SYS_seccomp},
        {"statx", SYS_statx},
    };
    for (size_t i = 0; i < sizeof NEEDED / sizeof NEEDED[0]; i++) {
        if (syscall(NEEDED[i].number, -1L, 0L, 0L, 0L, 0L) >= 0 || errno != ENOSYS) continue;
        say("the system call %s is needed: this kernel lacks it, or a seccomp filter around us forbids it",
            NEEDED[i].name);
        return -1;
    }
    return 0;
}

int check_kernel(void) {
    struct utsname host;
    if (uname(&host) != 0) return -1;
    char *rest = NULL;
    long major = strtol(host.release, &rest, 10);
    long minor = *rest == '.' ? strtol(rest + 1, NULL, 10) : 0;
    if (major > 5 || (major == 5 && minor >= 10)) return check_calls();
    say("Linux 5.10 or newer is needed, this is %s", host.release);
    return -1;
}

/*
 * What is left below the limit is for those on their way in, and for what an init and a reconciler take when they
 * start.
 */
int find_descriptor_bound(void) {
    enum { RESERVE = INBOX_FDS + 32, MOST = 1 << 30 };
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > MOST) return MOST;
    return limit.rlim_cur > 2 * RESERVE ? (int)limit.rlim_cur - RESERVE : (int)limit.rlim_cur / 2;
}

/* Descriptor 0 is /dev/null, 1 and 2 are there, nothing else is. */
static int reset_descriptors(void) {
    int null = open("/dev/null", O_RDWR);
    while (null >= 0 && null <= STDERR_FILENO) null = dup(null);
    if (null < 0) {
        say("/dev/null cannot be opened: %s", strerror(errno));
        return -1;
    }
    if (dup2(null, STDIN_FILENO) < 0) return -1;
    return sys_close_range(STDERR_FILENO + 1, ~0u, 0);
}

int reset_process(sigset_t *handled) {
    if (reset_descriptors() != 0) return -1;
    /* Dispositions before the mask, so that nothing pending meets a handler's remains. */
    for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
    sigemptyset(handled);
    sigaddset(handled, SIGTERM);
    sigaddset(handled, SIGINT);
    sigaddset(handled, SIGHUP);
    sigaddset(handled, SIGCHLD);
    /* Blocked, not ignored (an init would inherit that): a closed stderr must not end us. */
    sigset_t blocked = *handled;
    sigaddset(&blocked, SIGPIPE);
    sigprocmask(SIG_SETMASK, &blocked, NULL);
    raise_limits();
    raise_priority();
    open_memory_score();
    reset_core_filter();
    umask(022);
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0) return 0;
    say("prctl PR_SET_CHILD_SUBREAPER: %s", strerror(errno));
    return -1;
}

bool has_terminal(void) {
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) return false;
    close(fd);
    return true;
}

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

enum locked lock_directory(const char *directory) {
    int error = make_directories(directory) == 0 ? 0 : errno;
    int parent = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent < 0) {
        if (error == 0) error = errno;
        say("%s cannot be locked: %s", directory, strerror(error));
        return error == EROFS ? LOCK_NOWHERE : LOCK_REFUSED;
    }
    int note = open_note(parent);
    error = errno;
    if (lock_either(parent, note)) {
        /* The locks live as long as their descriptors, which stay open. */
        if (note >= 0) error = ftruncate(note, 0) == 0 && dprintf(note, "%d\n", getpid()) > 0 ? 0 : errno;
        if (error != 0) say("%s/.lock cannot be written: %s", directory, strerror(error));
        return LOCK_TAKEN;
    }
    if (errno == EWOULDBLOCK && read_holder(note) > 0)
        say("%s is in use by process %ld", directory, read_holder(note));
    else if (errno == EWOULDBLOCK)
        say("%s is in use by another process", directory);
    else
        say("flock %s: %s", directory, strerror(errno));
    close(parent);
    if (note >= 0) close(note);
    return LOCK_REFUSED;
}
