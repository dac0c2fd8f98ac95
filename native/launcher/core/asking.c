#define _GNU_SOURCE
#include "asking.h"

#include <errno.h>
#include <linux/memfd.h>
#include <signal.h>
#include <stdalign.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../ancillary.h"
#include "../inherited.h"
#include "../prober/prober.h"
#include "../sandbox/join.h"
#include "clock.h"
#include "say.h"
#include "sources.h"

static const uint64_t SHORTEST_LIFE = 1000000000; /* ns between two starts */

enum { SET_FDS = PROBE_FDS + 2 };

/* One that dies again and again is not started again at once: the reconciler tries it later. */
static int start(struct launcher *l, struct failure *why) {
    struct prober *p = &l->prober;
    if (p->started_ns != 0 && monotonic_now() - p->started_ns < SHORTEST_LIFE)
        return fail(why, STEP_HEALTH, EAGAIN, "the prober has just ended");
    int devices = join_devices(why), pair[2];
    if (devices < 0) return -1;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
        return fail(why, STEP_HEALTH, errno, "the prober's socket");
    p->started_ns = monotonic_now();
    int bound = l->descriptor_bound; /* our state is not the child's to read (memory.h) */
    expose_to_memory_killer(0);
    pid_t pid = fork();
    int error = errno;
    if (pid == 0) prober_main(pair[1], devices, bound);
    protect_from_memory_killer();
    close(pair[1]);
    if (pid > 0 && source_add(l->epoll, pair[0], EPOLLIN, (struct tag){.source = SOURCE_PROBER}) == 0) {
        p->pid = pid;
        p->socket = pair[0];
        return 0;
    }
    if (pid > 0) error = errno;
    close(pair[0]); /* it ends with that */
    return fail(why, STEP_HEALTH, error, "the prober");
}

/* It dies of its own accord, or is killed when it does not read: either way it is told when it is reaped. */
static void hang_up(struct launcher *l) { source_close(l->epoll, &l->prober.socket); }

static int send_order(struct launcher *l, const struct probe_order *order, const int *fds, size_t nfds) {
    struct iovec part = {.iov_base = (void *)(uintptr_t)order, .iov_len = sizeof *order};
    alignas(struct cmsghdr) char space[CMSG_SPACE(SET_FDS * sizeof(int))] = {0};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (nfds > 0) attach(&message, space, SCM_RIGHTS, fds, nfds * sizeof(int));
    return sendmsg(l->prober.socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof *order ? 0 : -1;
}

/* The list in memory that nobody can change any more. */
static int make_list(struct span list) {
    int fd = memfd_create("northstate-probe", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) return -1;
    if (list.size == 0 || write(fd, list.data, list.size) == (ssize_t)list.size) return fd;
    close(fd);
    return -1;
}

int prober_set(struct launcher *l, const struct probe_order *order, int pidfd, struct span list,
               const struct frame *frame, struct failure *why) {
    if (frame->nfds > PROBE_FDS) return fail(why, STEP_HEALTH, E2BIG, "%zu descriptors of a probe", frame->nfds);
    if (list.size > 0) {
        struct cursor c = cursor_over(list.data, list.size);
        struct ops *ops = ops_parse(&c, frame->fds, frame->nfds, LIST_JOIN, why);
        if (ops == NULL) return -1;
        ops_free(ops);
    }
    if (l->prober.pid == 0 && start(l, why) != 0) return -1;
    int fds[SET_FDS] = {pidfd, make_list(list)};
    if (fds[1] < 0) return fail(why, STEP_HEALTH, errno, "the list of a probe");
    memcpy(fds + 2, frame->fds, frame->nfds * sizeof(int));
    bool dials = list.size == 0;
    int result = send_order(l, order, fds, dials ? 2 : frame->nfds + 2), error = errno;
    close(fds[1]);
    return result == 0 ? 0 : fail(why, STEP_HEALTH, error, "the prober does not listen");
}

/* What it does not hear of it would go on with: then it is better gone. */
static void order_plain(struct launcher *l, enum order_kind kind, uint64_t attempt) {
    struct probe_order order = {.order = (uint8_t)kind, .attempt = attempt};
    if (l->prober.pid == 0 || l->prober.socket < 0 || send_order(l, &order, NULL, 0) == 0) return;
    kill(l->prober.pid, SIGKILL);
    hang_up(l);
}

void prober_begin(struct launcher *l, uint64_t attempt) { order_plain(l, ORDER_BEGIN, attempt); }

void prober_drop(struct launcher *l, uint64_t attempt) { order_plain(l, ORDER_DROP, attempt); }

bool prober_says(struct launcher *l, struct probe_verdict *verdict) {
    if (l->prober.socket < 0) return false;
    ssize_t size = recv(l->prober.socket, verdict, sizeof *verdict, MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    verdict->message[PROBE_MESSAGE - 1] = '\0';
    if (size == (ssize_t)sizeof *verdict) return true;
    hang_up(l);
    return false;
}

bool prober_reaps(struct launcher *l, pid_t pid) {
    int status;
    if (l->prober.pid == 0 || pid != l->prober.pid || waitpid(pid, &status, WNOHANG) != pid) return false;
    say("the prober ended with %s %d", WIFEXITED(status) ? "exit code" : "signal",
        WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    hang_up(l);
    l->prober.pid = 0;
    return true;
}
