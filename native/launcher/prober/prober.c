/* The prober's loop: orders, answers, ends of children, and time. */
#define _GNU_SOURCE
#include "prober.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdalign.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../ancillary.h"
#include "../inherited.h"
#include "../memory.h"
#include "../sandbox/descriptors.h"
#include "../syscalls.h"
#include "probes.h"

enum { TURN = 64, SOCKET = PROBE_LIMIT, CHILDREN, ORDER_FDS = PROBE_FDS + 2 };

static struct probe *find(const struct prober *p, uint64_t attempt, uint8_t role) {
    for (uint32_t i = 0; i < p->used; i++) {
        struct probe *probe = &p->probes[i];
        if (probe->state != PROBE_FREE && probe->order.attempt == attempt && probe->order.role == role) return probe;
    }
    return NULL;
}

static void drop(struct prober *p, struct probe *probe) {
    if (probe == NULL) return;
    probe_abandon(p, probe);
    close(probe->pidfd);
    close(probe->list);
    for (size_t i = 0; i < probe->nfds; i++) close(probe->fds[i]);
    *probe = (struct probe){.state = PROBE_FREE, .fd = -1};
    probe_due(p, probe, NEVER);
}

static struct probe *free_place(struct prober *p) {
    for (uint32_t i = 0; i < p->used; i++)
        if (p->probes[i].state == PROBE_FREE) return &p->probes[i];
    return p->used < PROBE_LIMIT ? &p->probes[p->used++] : NULL;
}

/* The first turn comes after one `every`, but for what is waited for: that is asked at once. */
static void begin(struct prober *p, struct probe *probe) {
    probe->state = PROBE_WAITS;
    probe_due(p, probe, now_ms() + (probe->order.role == PROBE_READY ? 0 : probe->order.every));
}

/* With no place left the launcher is told by our end: it asks for everything anew, or says so. */
static void set(struct prober *p, const struct probe_order *order, const int *fds, size_t nfds) {
    drop(p, find(p, order->attempt, order->role));
    struct probe *probe = free_place(p);
    if (probe == NULL || nfds < 2) _exit(1);
    *probe = (struct probe){
        .state = PROBE_HELD, .order = *order, .pidfd = fds[0], .list = fds[1], .nfds = nfds - 2, .fd = -1};
    memcpy(probe->fds, fds + 2, probe->nfds * sizeof(int));
    probe_due(p, probe, NEVER);
    if (!order->held) begin(p, probe);
}

static void obey(struct prober *p, const struct probe_order *order, const int *fds, size_t nfds) {
    if (order->order == ORDER_SET) {
        set(p, order, fds, nfds);
        return;
    }
    for (uint8_t role = PROBE_READY; role <= PROBE_ALIVE; role++) {
        struct probe *probe = find(p, order->attempt, role);
        if (order->order == ORDER_DROP)
            drop(p, probe);
        else if (probe != NULL && probe->state == PROBE_HELD)
            begin(p, probe);
    }
}

static void take_orders(struct prober *p) {
    for (int i = 0; i < TURN; i++) {
        struct probe_order order;
        alignas(struct cmsghdr) char space[CMSG_SPACE(ORDER_FDS * sizeof(int))];
        struct iovec part = {.iov_base = &order, .iov_len = sizeof order};
        struct msghdr message = {
            .msg_iov = &part, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
        ssize_t size = recvmsg(p->socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (size != (ssize_t)sizeof order) _exit(0); /* the launcher has closed its end */
        int fds[ORDER_FDS];
        obey(p, &order, fds, attached_fds(&message, fds));
    }
}

static void reap(struct prober *p, int signals) {
    struct signalfd_siginfo info;
    /* One is kept at most of a signal that is no real-time signal (signal(7)). */
    (void)!read(signals, &info, sizeof info);
    int status;
    for (pid_t pid = waitpid(-1, &status, WNOHANG); pid > 0; pid = waitpid(-1, &status, WNOHANG))
        for (uint32_t i = 0; i < p->used; i++)
            if (probe_reaps(p, &p->probes[i], pid, status)) break;
}

/* Whether its turn, or the end of its time, was acted on. */
static bool take_turn(struct prober *p, struct probe *probe) {
    if (probe->state == PROBE_WAITS) {
        /* One that has ended frees a place, and its end wakes us. */
        if (probe_joins(probe) && p->children >= CHILD_LIMIT) return false;
        probe_start(p, probe);
        return true;
    }
    if (probe->message[0] == '\0') note(probe, "no answer in %u ms", probe->order.timeout);
    probe_finish(p, probe, false);
    return true;
}

/* Does what is due, and gives the ms until the next. */
static int take_turns(struct prober *p) {
    uint64_t now = now_ms(), next = NEVER;
    for (uint32_t i = 0; i < p->used; i++) {
        if (p->due[i] <= now && !take_turn(p, &p->probes[i])) continue;
        if (p->due[i] < next) next = p->due[i];
    }
    if (next == NEVER) return -1;
    return next <= now ? 0 : next - now > 60000 ? 60000 : (int)(next - now);
}

static int watch(const struct prober *p, int fd, uint64_t place) {
    struct epoll_event event = {.events = EPOLLIN, .data = {.u64 = place}};
    return epoll_ctl(p->epoll, EPOLL_CTL_ADD, fd, &event);
}

/* All that was the launcher's is left behind, and this process ends with it. */
static void settle(int socket, int devices) {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    forget_memory_score();
    struct kept kept = {0};
    keep_descriptor(&kept, 0);
    keep_descriptor(&kept, 1);
    keep_descriptor(&kept, 2);
    keep_descriptor(&kept, socket);
    keep_descriptor(&kept, devices);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || close_others(&kept) != 0 || prctl(PR_SET_DUMPABLE, 0) != 0) _exit(1);
    prctl(PR_SET_NAME, "northstate: probe");
    replace_strings("northstate: prober");
}

_Noreturn void prober_main(int socket, int devices, int bound) {
    settle(socket, devices);
    /* The launcher never changes its network namespace, and this process does not live without it. */
    int network = sys_pidfd_open(getppid());
    struct prober p = {.socket = socket, .bound = bound, .network = network, .epoll = epoll_create1(EPOLL_CLOEXEC)};
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    int signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    p.probes = dontfork_alloc(PROBE_LIMIT * sizeof *p.probes);
    p.due = dontfork_alloc(PROBE_LIMIT * sizeof *p.due);
    p.text = dontfork_alloc(PROBE_LIST_LIMIT);
    if (p.epoll < 0 || network < 0 || signals < 0 || p.probes == NULL || p.due == NULL || p.text == NULL ||
        watch(&p, socket, SOCKET) != 0 || watch(&p, signals, CHILDREN) != 0)
        _exit(1);
    for (;;) {
        struct epoll_event events[TURN];
        int count = epoll_wait(p.epoll, events, TURN, take_turns(&p));
        for (int i = 0; i < count; i++) {
            uint64_t place = events[i].data.u64;
            if (place == SOCKET)
                take_orders(&p);
            else if (place == CHILDREN)
                reap(&p, signals);
            else if (p.probes[place].fd >= 0)
                probe_heard(&p, &p.probes[place]);
        }
    }
}
