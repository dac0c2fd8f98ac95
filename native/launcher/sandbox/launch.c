/* The launcher's side of a start: descriptors, clone3, and passing on the go list. It never waits for an init. */
#define _GNU_SOURCE
#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <linux/sockios.h>
#include <sched.h>
#include <signal.h>
#include <stdalign.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../ancillary.h"
#include "../inherited.h"
#include "../syscalls.h"
#include "init.h"
#include "network.h"
#include "null-devices.h"

enum {
    NAMESPACES_KNOWN = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP,
};

static int set_nonblocking(int fd) {
    int flags = fcntl(fd, F_GETFL);
    return flags < 0 ? -1 : fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

/* The control socket: our end does not block, the init's does. Its buffer takes the longest list in one message. */
static int make_control(struct init *init, struct birth *birth, int bound, struct failure *why) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return fail(why, STEP_CONTROL, errno, "socketpair");
    init->control = pair[0];
    birth->control = pair[1];
    if (pair[1] >= bound) return fail(why, STEP_CONTROL, EMFILE, "the launcher's descriptors (RLIMIT_NOFILE)");
    int size = FRAME_LIMIT, yes = 1;
    if (set_nonblocking(init->control) < 0 ||
        setsockopt(init->control, SOL_SOCKET, SO_SNDBUF, &size, sizeof size) < 0 ||
        setsockopt(init->control, SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes) < 0)
        return fail(why, STEP_CONTROL, errno, "control socket");
    return 0;
}

/* Pipes for the streams that go anywhere. */
static int make_outputs(struct init *init, struct birth *birth, const struct ops *prepare, struct failure *why) {
    for (uint32_t i = 0; i < prepare->count; i++) {
        const struct op *op = &prepare->items[i];
        int ends[2];
        if (op->kind != OP_OUTPUT || op->output.mode == OUTPUT_NULL) continue;
        int *output = &init->output[op->output.stream - 1];
        if (*output >= 0) return fail(why, OP_OUTPUT, EEXIST, "stream %u", op->output.stream);
        if (pipe2(ends, O_CLOEXEC) < 0) return fail(why, OP_OUTPUT, errno, "pipe of stream %u", op->output.stream);
        *output = ends[0];
        birth->output[op->output.stream - 1] = ends[1];
        if (set_nonblocking(ends[0]) < 0) return fail(why, OP_OUTPUT, errno, "pipe of stream %u", op->output.stream);
        init->relayed[op->output.stream - 1] = op->output.mode == OUTPUT_RELAY;
        if (op->output.size > init->ring_size) init->ring_size = op->output.size;
    }
    return 0;
}

static int make_init(struct init *init, struct birth *birth, struct failure *why) {
    /* One that is there is entered instead. */
    uint32_t made = (uint32_t)CLONE_NEWCGROUP | (birth->network >= 0 ? (uint32_t)CLONE_NEWNET : 0);
    const struct op *namespaces = ops_find(birth->prepare, OP_NAMESPACES);
    const struct op *into = ops_find(birth->prepare, OP_CGROUP_INTO);
    uint32_t flags = namespaces != NULL ? namespaces->namespaces.flags : 0;
    if (flags & ~(uint32_t)NAMESPACES_KNOWN) return fail(why, OP_NAMESPACES, EINVAL, "flags %#x", flags);
    init->own_network = flags & CLONE_NEWNET;
    if (!(flags & CLONE_NEWPID)) return fail(why, OP_NAMESPACES, EINVAL, "no PID namespace");
    /* The cgroup namespace is unshared in the init, when it has joined the groups that are to be its root. */
    struct clone_args args = {
        .flags = (flags & ~made) | CLONE_PIDFD | CLONE_CLEAR_SIGHAND,
        .pidfd = (uint64_t)(uintptr_t)&init->pidfd,
        .exit_signal = SIGCHLD,
    };
    if (into != NULL) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = (unsigned)into->fd;
    }
    const struct op *score = ops_find(birth->prepare, OP_OOM_SCORE);
    int exposed = expose_to_memory_killer(score != NULL ? score->oom_score.score : 0);
    if (exposed != 0 && score != NULL) {
        int error = errno;
        protect_from_memory_killer();
        return fail(why, OP_OOM_SCORE, error, "score %d", score->oom_score.score);
    }
    pid_t pid = (pid_t)sys_clone3(&args, sizeof args);
    int error = errno;
    if (pid != 0) protect_from_memory_killer();
    if (pid < 0) return fail(why, into != NULL ? OP_CGROUP_INTO : STEP_CLONE, error, "clone3");
    if (pid == 0) init_main(birth);
    init->pid = pid;
    return 0;
}

static void close_if_open(int fd) {
    if (fd >= 0) close(fd);
}

static void abandon(struct init *init) {
    close_if_open(init->control);
    close_if_open(init->output[0]);
    close_if_open(init->output[1]);
    close_if_open(init->oom);
    *init = (struct init){.pidfd = -1, .control = -1, .output = {-1, -1}, .oom = -1};
}

int launch_prepare(struct init *init, struct ops *prepare, const char *name, int network, int bound,
                   struct failure *why) {
    *init = (struct init){.pidfd = -1, .control = -1, .output = {-1, -1}, .oom = -1};
    int notify = -1;
    struct birth birth = {
        .prepare = prepare,
        .control = -1,
        .output = {-1, -1},
        .devices = null_devices(why),
        .proc = -1,
        .target = -1,
        .network = network,
        .notify = &notify,
    };
    snprintf(birth.title, sizeof birth.title, "northstate: %s", name);
    int result = birth.devices < 0 ? -1 : 0;
    const struct op *oom = ops_find(prepare, OP_OOM);
    if (result == 0 && oom != NULL) {
        init->oom = fcntl(oom->fd, F_DUPFD_CLOEXEC, 3);
        if (init->oom < 0) result = fail(why, OP_OOM, errno, "dup");
    }
    if (result == 0) result = make_control(init, &birth, bound, why);
    if (result == 0) result = make_outputs(init, &birth, prepare, why);
    if (result == 0) result = make_init(init, &birth, why);
    close_if_open(birth.control);
    close_if_open(birth.output[0]);
    close_if_open(birth.output[1]);
    if (result < 0) abandon(init);
    return result;
}

bool launch_takes_network(const struct ops *prepare) {
    const struct op *namespaces = ops_find(prepare, OP_NAMESPACES);
    return namespaces != NULL && namespaces->namespaces.flags & CLONE_NEWNET;
}

/* The namespace as a descriptor, which any socket in it gives (ioctl_ns(2)): no proc is mounted here. */
static int make_network(int *network) {
    struct failure why = {.error = 0};
    if (unshare(CLONE_NEWNET) < 0) return errno;
    int within = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (within < 0) return errno;
    if (raise_loopback(&why) < 0) return why.error;
    *network = ioctl(within, SIOCGSKNS);
    return *network < 0 ? errno : 0;
}

/* Says how it went, and gives it. */
static _Noreturn void bring_network(int socket_of_ours) {
    int network = -1;
    int error = make_network(&network);
    alignas(struct cmsghdr) char space[CMSG_SPACE(sizeof network)] = {0};
    struct iovec part = {.iov_base = &error, .iov_len = sizeof error};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (error == 0) attach(&message, space, SCM_RIGHTS, &network, sizeof network);
    sendmsg(socket_of_ours, &message, MSG_NOSIGNAL);
    _exit(0);
}

int launch_network(void) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) return -1;
    pid_t pid = fork();
    if (pid == 0) bring_network(pair[1]);
    int error = errno;
    close(pair[1]);
    if (pid > 0) return pair[0];
    close(pair[0]);
    errno = error;
    return -1;
}

int network_receive(int socket) {
    int error = ECHILD; /* of one that has said nothing */
    alignas(struct cmsghdr) char space[CMSG_SPACE(sizeof(int))];
    struct iovec part = {.iov_base = &error, .iov_len = sizeof error};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    ssize_t size = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    int network = -1;
    if (size < 0)
        error = errno;
    else if (attached_fds(&message, &network) == 0 && error == 0)
        error = EMFILE; /* no room for it here (unix(7)) */
    errno = error;
    return network;
}

int launch_go(struct init *init, const struct ops *go, struct failure *why) {
    struct iovec part = {.iov_base = (void *)(uintptr_t)go->raw.data, .iov_len = go->raw.size};
    alignas(struct cmsghdr) char control[CMSG_SPACE(FRAME_FDS * sizeof(int))] = {0};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (go->nfds > 0) attach(&message, control, SCM_RIGHTS, go->fds, go->nfds * sizeof(int));
    if (sendmsg(init->control, &message, MSG_NOSIGNAL) < 0)
        return fail(why, STEP_CONTROL, errno, "sending the go list");
    return 0;
}

int init_kill(const struct init *init, int signal) { return sys_pidfd_send_signal(init->pidfd, signal); }
