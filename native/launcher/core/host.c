#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "launcher.h"

enum { APPLICATION_FILES = 1024, STACK = 8 << 20, AHEAD_OF_CONTAINERS = 10 /* nice levels */ };

/*
 * A line is lost rather than waited for when nobody reads: a pipe that takes some bytes takes a line (pipe(7),
 * PIPE_BUF).
 */
void say(const char *format, ...) {
    static const char NAME[] = "northstate: ";
    enum { LINE = 1024 };
    char line[sizeof NAME + LINE];
    memcpy(line, NAME, sizeof NAME);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line + sizeof NAME - 1, LINE, format, arguments);
    va_end(arguments);
    size_t size = strlen(line);
    line[size] = '\n';
    struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&out, 1, 0) == 1 && out.revents & POLLOUT) (void)!write(out.fd, line, size + 1);
}

uint64_t boottime_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

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

/* A soft limit that the starter's shell happened to have must not end the runtime: up to the hard one it may go. */
static void raise_limits(void) {
    static const int RAISED[] = {RLIMIT_CPU, RLIMIT_FSIZE, RLIMIT_DATA, RLIMIT_AS, RLIMIT_NOFILE};
    struct rlimit limit;
    for (size_t i = 0; i < sizeof RAISED / sizeof RAISED[0]; i++) {
        if (getrlimit((__rlimit_resource_t)RAISED[i], &limit) != 0) continue;
        limit.rlim_cur = limit.rlim_max;
        setrlimit((__rlimit_resource_t)RAISED[i], &limit);
    }
    if (getrlimit(RLIMIT_STACK, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max < STACK ? limit.rlim_max : STACK;
        setrlimit(RLIMIT_STACK, &limit);
    }
}

/*
 * What is left below the limit is for those on their way in, and for what an init and a reconciler take when they
 * start.
 */
static int find_descriptor_bound(void) {
    enum { RESERVE = INBOX_FDS + 32, MOST = 1 << 30 };
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > MOST) return MOST;
    return limit.rlim_cur > 2 * RESERVE ? (int)limit.rlim_cur - RESERVE : (int)limit.rlim_cur / 2;
}

void restore_file_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max < APPLICATION_FILES ? limit.rlim_max : APPLICATION_FILES;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* What the launcher was started with; a container's own. */
static int started_priority;

/* Where the kernel schedules by session (sched(7), autogroup), one is raised by itself. */
static void raise_session(void) {
    int fd = open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC);
    if (fd < 0) return;
    dprintf(fd, "%d", -AHEAD_OF_CONTAINERS);
    close(fd);
}

/*
 * The launcher's short work comes before what runs in the containers, so that one that takes every processor can still
 * be stopped. The reconciler's is longer, and goes at the containers' pace. Without CAP_SYS_NICE it stays as it was.
 */
static void raise_priority(void) {
    started_priority = getpriority(PRIO_PROCESS, 0);
    setpriority(PRIO_PROCESS, 0, started_priority - AHEAD_OF_CONTAINERS);
    raise_session();
}

void restore_priority(void) { setpriority(PRIO_PROCESS, 0, started_priority); }

/* Descriptor 0 is /dev/null, 1 and 2 are there, nothing else is. */
static int reset_descriptors(void) {
    int null = open("/dev/null", O_RDWR);
    while (null >= 0 && null <= STDERR_FILENO) null = dup(null);
    if (null < 0) {
        say("/dev/null cannot be opened: %s", strerror(errno));
        return -1;
    }
    if (dup2(null, STDIN_FILENO) < 0) return -1;
    return close_range(STDERR_FILENO + 1, ~0u, 0);
}

int reset_process(struct launcher *l) {
    if (reset_descriptors() != 0) return -1;
    /* Dispositions before the mask, so that nothing pending meets a handler's remains. */
    for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
    sigemptyset(&l->handled_signals);
    sigaddset(&l->handled_signals, SIGTERM);
    sigaddset(&l->handled_signals, SIGINT);
    sigaddset(&l->handled_signals, SIGHUP);
    sigaddset(&l->handled_signals, SIGCHLD);
    /* Blocked, not ignored (an init would inherit that): a closed stderr must not end us. */
    sigset_t blocked = l->handled_signals;
    sigaddset(&blocked, SIGPIPE);
    sigprocmask(SIG_SETMASK, &blocked, NULL);
    raise_limits();
    l->descriptor_bound = find_descriptor_bound();
    raise_priority();
    umask(022);
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0) return 0;
    say("prctl PR_SET_CHILD_SUBREAPER: %s", strerror(errno));
    return -1;
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

/* Who holds the lock, as it wrote in the file; 0 when it has not written yet. */
static long read_holder(int fd) {
    char text[32] = "";
    ssize_t size = pread(fd, text, sizeof text - 1, 0);
    return size > 0 ? strtol(text, NULL, 10) : 0;
}

int lock_directory(const char *directory) {
    int parent = make_directories(directory) == 0 ? open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    int lock = parent < 0 ? -1 : openat(parent, ".lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (lock < 0) {
        say("%s cannot be locked: %s", directory, strerror(errno));
    } else if (flock(lock, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            say("%s is in use by process %ld", directory, read_holder(lock));
        else
            say("flock %s/.lock: %s", directory, strerror(errno));
    } else if (ftruncate(lock, 0) != 0 || dprintf(lock, "%d\n", getpid()) < 0) {
        say("write %s/.lock: %s", directory, strerror(errno));
    } else {
        close(parent);
        return 0; /* the lock lives as long as its descriptor, which stays open */
    }
    if (parent >= 0) close(parent);
    if (lock >= 0) close(lock);
    return -1;
}
