#define _GNU_SOURCE
#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
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

int check_root(void) {
    if (geteuid() == 0) return 0;
    say("run needs root (use sudo northstate run)");
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

void block_signals(sigset_t *handled) {
    sigemptyset(handled);
    sigaddset(handled, SIGTERM);
    sigaddset(handled, SIGINT);
    sigaddset(handled, SIGHUP);
    sigaddset(handled, SIGCHLD);
    /* Blocked, not ignored (an init would inherit that): a closed stderr must not end us. */
    sigset_t blocked = *handled;
    sigaddset(&blocked, SIGPIPE);
    sigprocmask(SIG_SETMASK, &blocked, NULL);
}

int reset_process(sigset_t *handled) {
    if (reset_descriptors() != 0) return -1;
    /* Dispositions before the mask, so that nothing pending meets a handler's remains. */
    for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
    block_signals(handled);
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
