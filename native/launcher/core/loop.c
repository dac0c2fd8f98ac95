#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "launcher.h"

enum { TURN_EVENTS = 64 };

/* What epoll gives back: source (8 bits), life (24), place (32). */
static uint64_t tag_of(enum source source, uint32_t place, uint32_t life) {
    return (uint64_t)source << 56 | (uint64_t)(life & LIFE_MASK) << 32 | place;
}

static int control(int epoll, int operation, int fd, uint32_t events, uint64_t tag) {
    struct epoll_event event = {.events = events, .data = {.u64 = tag}};
    return epoll_ctl(epoll, operation, fd, &event);
}

int loop_add(int epoll, int fd, uint32_t events, enum source source, uint32_t place, uint32_t life) {
    return control(epoll, EPOLL_CTL_ADD, fd, events, tag_of(source, place, life));
}

int loop_change(int epoll, int fd, uint32_t events, enum source source, uint32_t place, uint32_t life) {
    return control(epoll, EPOLL_CTL_MOD, fd, events, tag_of(source, place, life));
}

int loop_open(struct launcher *l) {
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    l->bulk = epoll_create1(EPOLL_CLOEXEC);
    l->signals = signalfd(-1, &l->handled_signals, SFD_CLOEXEC | SFD_NONBLOCK);
    l->deadline = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    l->pause = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (l->epoll >= 0 && l->bulk >= 0 && l->signals >= 0 && l->deadline >= 0 && l->pause >= 0 &&
        loop_add(l->epoll, l->bulk, EPOLLIN, SOURCE_BULK, 0, 0) == 0 &&
        loop_add(l->epoll, l->signals, EPOLLIN, SOURCE_SIGNAL, 0, 0) == 0 &&
        loop_add(l->epoll, l->deadline, EPOLLIN, SOURCE_DEADLINE, 0, 0) == 0 &&
        loop_add(l->epoll, l->pause, EPOLLIN, SOURCE_PAUSE, 0, 0) == 0) {
        return 0;
    }
    say("the event loop cannot be set up: %s", strerror(errno));
    return -1;
}

static void handle_signals(struct launcher *l) {
    struct signalfd_siginfo info;
    while (read(l->signals, &info, sizeof info) == sizeof info)
        if (info.ssi_signo == SIGCHLD)
            reap_orphans(l);
        else
            handle_termination(l, info.ssi_signo);
}

/* The attempt that an event is about; NULL when it has gone since. */
static struct attempt *attempt_of(struct launcher *l, uint64_t tag) {
    struct attempt *a = attempt_at(&l->attempts, (uint32_t)tag);
    return a->state != ATTEMPT_FREE && (a->life & LIFE_MASK) == (uint32_t)(tag >> 32 & LIFE_MASK) ? a : NULL;
}

static void handle_event(struct launcher *l, uint64_t tag) {
    struct attempt *a;
    switch ((enum source)(tag >> 56)) {
    case SOURCE_SIGNAL:
        handle_signals(l);
        break;
    case SOURCE_SOCKET:
        handle_socket(l);
        break;
    case SOURCE_RECONCILER:
        handle_reconciler_exit(l);
        break;
    case SOURCE_DEADLINE:
        handle_deadline(l);
        break;
    case SOURCE_PAUSE:
        handle_pause(l);
        break;
    case SOURCE_WATCH:
        handle_watch(l, (uint32_t)tag, (uint32_t)(tag >> 32 & LIFE_MASK));
        break;
    case SOURCE_INIT:
        if ((a = attempt_of(l, tag)) != NULL) handle_init_exit(l, a);
        break;
    case SOURCE_CONTROL:
        if ((a = attempt_of(l, tag)) != NULL) handle_control(l, a);
        break;
    case SOURCE_STDOUT:
        if ((a = attempt_of(l, tag)) != NULL) handle_output(l, a, 0, DRAIN_TURN);
        break;
    case SOURCE_STDERR:
        if ((a = attempt_of(l, tag)) != NULL) handle_output(l, a, 1, DRAIN_TURN);
        break;
    case SOURCE_BULK:
        break;
    }
}

/*
 * The containers' output waits in a set of its own, of which one descriptor is read per turn: so however much is
 * written, an exit or a command waits for one read of 64 KiB at most. Among the urgent, exits come first.
 */
static void take_turn(struct launcher *l) {
    struct epoll_event events[TURN_EVENTS];
    int count = epoll_wait(l->epoll, events, TURN_EVENTS, -1);
    bool bulk = false;
    for (int i = 0; i < count; i++) {
        if (events[i].data.u64 >> 56 == SOURCE_INIT) handle_event(l, events[i].data.u64);
        if (events[i].data.u64 >> 56 == SOURCE_BULK) bulk = true;
    }
    for (int i = 0; i < count; i++)
        if (events[i].data.u64 >> 56 != SOURCE_INIT) handle_event(l, events[i].data.u64);
    if (bulk && epoll_wait(l->bulk, events, 1, 0) == 1) handle_event(l, events[0].data.u64);
}

int loop_run(struct launcher *l) {
    while (!l->over) {
        flush_to_reconciler(l);
        take_turn(l);
    }
    return l->status;
}
