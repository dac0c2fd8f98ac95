#define _GNU_SOURCE
#include "loop.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../reexec/proof.h"
#include "../reexec/takeover.h"
#include "asking.h"
#include "exits.h"
#include "health.h"
#include "messages.h"
#include "output.h"
#include "say.h"
#include "service.h"
#include "sessions.h"
#include "sleep.h"
#include "sources.h"
#include "spare-network.h"
#include "supervise.h"
#include "telling.h"
#include "timers.h"

enum { TURN_EVENTS = 64 };

static int add(const struct launcher *l, int fd, enum source source) {
    return source_add(l->epoll, fd, EPOLLIN, (struct tag){.source = source});
}

int loop_open(struct launcher *l) {
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    l->bulk = epoll_create1(EPOLL_CLOEXEC);
    l->signals = signalfd(-1, &l->handled_signals, SFD_CLOEXEC | SFD_NONBLOCK);
    l->deadline = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    l->pause = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    l->end = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    l->health = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    l->liveness.timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (l->epoll >= 0 && l->bulk >= 0 && l->signals >= 0 && l->deadline >= 0 && l->pause >= 0 &&
        add(l, l->bulk, SOURCE_BULK) == 0 && add(l, l->signals, SOURCE_SIGNAL) == 0 &&
        add(l, l->deadline, SOURCE_DEADLINE) == 0 && add(l, l->pause, SOURCE_PAUSE) == 0 && service_open(l) == 0 &&
        add(l, l->service, SOURCE_SERVICE) == 0 && add(l, l->end, SOURCE_END) == 0 &&
        add(l, l->liveness.timer, SOURCE_LIVENESS) == 0 && add(l, l->health, SOURCE_HEALTH) == 0 &&
        arrivals_watch(&l->arrivals, l->epoll) == 0 && proof_open(l) == 0) {
        l->watches.epoll = l->relays.epoll = l->epoll;
        l->relays.bulk = l->bulk;
        return 0;
    }
    say("the event loop cannot be set up: %s", strerror(errno));
    return -1;
}

/* SIGCHLD: also children that are nobody's (orphans of the reconciler) are reaped. */
static void reap(struct launcher *l) {
    for (;;) {
        siginfo_t info = {0};
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) return;
        struct attempt *a = attempt_find_process(&l->attempts, info.si_pid);
        if (a != NULL)
            handle_init_exit(l, a);
        else if (info.si_pid == l->reconciler.pid)
            handle_reconciler_exit(l);
        else if (prober_reaps(l, info.si_pid))
            health_lost(l);
        else if (!proof_reaps(l, info.si_pid) && !session_reaps(l, info.si_pid) &&
                 !arrivals_reap(&l->arrivals, l->namespace_of_reconciler, info.si_pid))
            waitid(P_PID, (id_t)info.si_pid, &info, WEXITED | WNOHANG);
    }
}

static void handle_signals(struct launcher *l) {
    struct signalfd_siginfo info;
    while (read(l->signals, &info, sizeof info) == sizeof info)
        if (info.ssi_signo == SIGCHLD)
            reap(l);
        else if (info.ssi_signo == SIGHUP && !l->terminal)
            handle_reload(l);
        else
            handle_termination(l, info.ssi_signo);
}

static void handle_watch(struct launcher *l, struct tag tag) {
    uint64_t key;
    if (!watch_rings(&l->watches, tag.place, tag.life, &key)) return;
    if (sleep_rings(l, RANG_WATCH, key))
        watch_miss(&l->watches, tag.place);
    else
        send_event(l, E_WATCH, key, sizeof key);
}

static void handle_deadline(struct launcher *l) {
    if (timer_rang(l->deadline) && !sleep_rings(l, RANG_DEADLINE, 0)) send_event(l, E_DEADLINE, 0, 0);
}

/* The attempt that an event is about; NULL when it has gone since. */
static struct attempt *attempt_of(const struct launcher *l, struct tag tag) {
    struct attempt *a = attempt_at(&l->attempts, tag.place);
    return a->state != ATTEMPT_FREE && (a->life & LIFE_MASK) == tag.life ? a : NULL;
}

static void handle_attempt(struct launcher *l, struct tag tag) {
    struct attempt *a = attempt_of(l, tag);
    if (a == NULL) return;
    if (tag.source == SOURCE_INIT)
        handle_init_exit(l, a);
    else if (tag.source == SOURCE_CONTROL)
        handle_control(l, a);
    else if (tag.source == SOURCE_NOTIFY)
        handle_notify(l, a);
    else
        handle_output(l, a, tag.source == SOURCE_STDOUT ? 0 : 1, DRAIN_TURN);
}

static void handle_event(struct launcher *l, struct tag tag) {
    switch (tag.source) {
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
    case SOURCE_SERVICE:
        handle_service(l);
        break;
    case SOURCE_LIVENESS:
        handle_liveness(l);
        break;
    case SOURCE_END:
        handle_late_end(l);
        break;
    case SOURCE_WATCH:
        handle_watch(l, tag);
        break;
    case SOURCE_INIT:
    case SOURCE_CONTROL:
    case SOURCE_STDOUT:
    case SOURCE_STDERR:
    case SOURCE_NOTIFY:
        handle_attempt(l, tag);
        break;
    case SOURCE_PROBER:
        handle_prober(l);
        break;
    case SOURCE_HEALTH:
        handle_health(l);
        break;
    case SOURCE_SESSION:
        handle_session(l, tag.place, tag.life);
        break;
    case SOURCE_RELAY:
        handle_relay(&l->relays, tag.place, tag.life, DRAIN_TURN);
        break;
    case SOURCE_STREAM:
        handle_stream(&l->relays, (int)tag.place);
        break;
    case SOURCE_PROOF:
        handle_proof(l);
        break;
    case SOURCE_PROOF_LATE:
        handle_proof_late(l);
        break;
    case SOURCE_SPARE:
        handle_spare_network(l);
        break;
    case SOURCE_MOUNTS:
        arrivals_follow(&l->arrivals, l->namespace_of_reconciler);
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
    int count = epoll_wait(l->epoll, events, TURN_EVENTS, telling_waits(&l->attempts) ? TELLING_BOUND : -1);
    bool bulk = false;
    for (int i = 0; i < count; i++) {
        struct tag tag = tag_of(events[i].data.u64);
        if (tag.source == SOURCE_INIT) handle_event(l, tag);
        if (tag.source == SOURCE_BULK) bulk = true;
    }
    for (int i = 0; i < count; i++) {
        struct tag tag = tag_of(events[i].data.u64);
        if (tag.source != SOURCE_INIT) handle_event(l, tag);
    }
    if (bulk && epoll_wait(l->bulk, events, 1, 0) == 1) handle_event(l, tag_of(events[0].data.u64));
}

int loop_run(struct launcher *l) {
    while (!is_over(l)) {
        if (l->attempts.changed > 0) sleep_rings(l, RANG_ATTEMPT, 0);
        if (sleep_is_over(l)) start_reconciler(l);
        if (!flush_to_reconciler(l)) end_reconciler(l, "it does not read its events");
        takeover_turn(l);
        take_turn(l);
    }
    relays_finish(&l->relays);
    return l->status;
}
