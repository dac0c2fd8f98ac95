#define _GNU_SOURCE
#include "supervise.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "../reexec/proof.h"
#include "../reexec/proving.h"
#include "../signal-name.h"
#include "clock.h"
#include "hearing.h"
#include "messages.h"
#include "say.h"
#include "service.h"
#include "sessions.h"
#include "sleep.h"
#include "sources.h"
#include "spawn.h"
#include "telling.h"
#include "timers.h"

static const uint64_t MILLISECOND = 1000000;
static const uint64_t LIFE_OF_SUCCESS = 60000 * MILLISECOND;

enum {
    PAUSE_FIRST = 100, /* ms */
    PAUSE_LONGEST = 10000,
    PAUSE_AT_EXIT = 1000, /* for a reconciler that has closed its socket */
    PAUSE_AT_END = 10000, /* for the reconciler after R_STOP, for what is asked to end, for what is killed */
    DEATHS_TERMINATING = 5,
};

/* Without a reconciler: what still runs is killed, and the loop ends with the last of it. */
static void end_everything(struct launcher *l) {
    l->phase = PHASE_ENDING;
    attempts_kill_all(&l->attempts);
    timer_set_after(l->pause, PAUSE_AT_END);
}

static uint64_t next_pause(struct reconciler *r) {
    uint64_t pause = PAUSE_FIRST;
    for (uint32_t i = 0; i < r->quick_deaths && pause < PAUSE_LONGEST; i++) pause *= 2;
    r->quick_deaths++;
    return pause < PAUSE_LONGEST ? pause : PAUSE_LONGEST;
}

/* The connection with this one is over. */
static void hang_up(struct launcher *l) {
    source_close(l->epoll, &l->reconciler.socket);
    inbox_clear(&l->reconciler.in);
    outbox_clear(&l->reconciler.out);
    l->reconciler.sync_due = false;
    liveness_end(&l->liveness);
    attempts_disconnect(&l->attempts);
    proof_cancel(l);
    sessions_end_all(l);
}

/* What belonged to this one: its successor asks for it anew. */
static void disconnect(struct launcher *l) {
    hang_up(l);
    watch_drop_all(&l->watches);
    timer_set_at(l->deadline, 0);
}

/* Of one that sleeps, what it has asked for stays. */
static void let_go(struct launcher *l) {
    if (l->sleep.asleep)
        hang_up(l);
    else
        disconnect(l);
}

static void kill_reconciler(struct launcher *l, const char *reason) {
    if (l->reconciler.pid == 0) return;
    say("the reconciler is killed: %s", reason);
    kill(l->reconciler.pid, SIGKILL);
    let_go(l);
}

void retire_reconciler(struct launcher *l) {
    if (!is_connected(l)) return;
    kill(l->reconciler.pid, SIGKILL);
    let_go(l);
}

void end_reconciler(struct launcher *l, const char *reason) {
    l->reconciler.faulted = true;
    kill_reconciler(l, reason);
}

/*
 * Without the reconciler, or without one that does it: the containers are asked to end, all at once, and killed when
 * they do not.
 */
static void take_down(struct launcher *l, const char *reason) {
    if (l->phase == PHASE_TAKING_DOWN || l->phase == PHASE_ENDING) return;
    say("%s: the containers are ended without it", reason);
    l->status = 1;
    l->phase = PHASE_TAKING_DOWN;
    kill_reconciler(l, "the launcher ends the containers");
    attempts_terminate_all(&l->attempts);
    timer_set_after(l->pause, PAUSE_AT_END);
}

/* Without one the containers cannot be stopped in order: that is tried so often. */
static bool gives_up(struct launcher *l) {
    if (l->terminating == 0 || ++l->deaths_terminating < DEATHS_TERMINATING) return false;
    take_down(l, "the reconciler does not come up to stop the containers");
    return true;
}

void start_reconciler(struct launcher *l) {
    struct reconciler *r = &l->reconciler;
    if (l->sleep.asleep) {
        disconnect(l);
        sleep_end(l);
    }
    r->is_first = r->first != NULL;
    if (!r->is_first) r->starts++;
    r->faulted = false;
    r->started_ns = boottime_now();
    enum spawned spawned = spawn_reconciler(l);
    /* SIGCHLD tells of its end, with or without a pidfd. */
    if (spawned == SPAWN_UNWATCHED) kill_reconciler(l, "it cannot be watched");
    if (spawned == SPAWNED) {
        liveness_begin(&l->liveness);
        send_greeting(l);
    }
    if (spawned != SPAWN_FAILED) return;
    int error = errno;
    r->first = NULL;
    if (gives_up(l)) return;
    uint64_t pause = next_pause(r);
    say("the reconciler cannot be started: %s; next attempt in %llu ms", strerror(error), (unsigned long long)pause);
    timer_set_after(l->pause, pause);
}

/* R_STOP: the end begins. */
static void begin_stop(struct launcher *l) {
    service_stopping(l);
    if (l->phase != PHASE_RUNNING) return;
    l->phase = PHASE_STOPPING;
    timer_set_after(l->end, 0);
    timer_set_after(l->pause, PAUSE_AT_END);
}

/*
 * Whether an end says something about the generation that was acted on: an exit, a crash, or what we have killed it
 * for. The out-of-memory killer's SIGKILL, and whatever else somebody sends it, does not.
 */
static bool is_own_fault(const struct reconciler *r, const siginfo_t *end) {
    if (r->faulted || end->si_code == CLD_EXITED) return true;
    switch (end->si_status) {
    case SIGABRT:
    case SIGBUS:
    case SIGFPE:
    case SIGILL:
    case SIGSEGV:
    case SIGSYS:
    case SIGTRAP:
        return true;
    default:
        return false;
    }
}

/* Whoever was executed before it has left what it has done, and no more is asked of it. */
static void follow_first(struct launcher *l, const siginfo_t *end) {
    l->reconciler.first = NULL;
    timer_set_after(l->pause, 0);
    char space[END_TEXT];
    if (end->si_code != CLD_EXITED || end->si_status != 0)
        say("what was to start containers before the reconciler ended with %s; the reconciler does what is left",
            end_text(end->si_code == CLD_EXITED, end->si_status, space));
    if (l->phase == PHASE_RUNNING) start_reconciler(l);
}

void handle_reconciler_exit(struct launcher *l) {
    struct reconciler *r = &l->reconciler;
    siginfo_t info = {0};
    if (r->pid == 0 || waitid(P_PID, (id_t)r->pid, &info, WEXITED | WNOHANG) != 0 || info.si_pid == 0) return;
    if (hear_last_requests(l) == HEARD_STOP) begin_stop(l);
    let_go(l);
    source_close(l->epoll, &r->pidfd);
    r->pid = 0;
    if (l->reexec.proves >= 0) proving_fails(l, &info);
    if (l->reexec.proves >= 0 || l->reexec.due) return;
    if (l->sleep.asleep) {
        liveness_rest(&l->liveness);
        r->quick_deaths = r->deaths = 0;
        timer_set_after(l->pause, 0);
        return;
    }
    if (r->is_first) {
        follow_first(l, &info);
        return;
    }
    if (boottime_now() - r->started_ns >= LIFE_OF_SUCCESS) r->quick_deaths = r->deaths = 0;
    if (is_own_fault(r, &info)) r->deaths++;
    if (l->phase == PHASE_STOPPING) end_everything(l);
    if (l->phase != PHASE_RUNNING) return;
    if (gives_up(l)) return;
    uint64_t pause = next_pause(r);
    char space[END_TEXT];
    say("the reconciler ended with %s; it is started again in %llu ms",
        end_text(info.si_code == CLD_EXITED, info.si_status, space), (unsigned long long)pause);
    timer_set_after(l->pause, pause);
}

/* Whoever ends closes its socket a moment before: until then nothing is wrong. */
static void let_exit(struct launcher *l) {
    let_go(l);
    if (l->phase == PHASE_RUNNING) timer_set_after(l->pause, PAUSE_AT_EXIT);
}

void handle_socket(struct launcher *l) {
    if (!is_connected(l)) return;
    pid_t pid = l->reconciler.pid;
    switch (hear_reconciler(l)) {
    case HEARD:
        break;
    case HEARD_STOP:
        begin_stop(l);
        break;
    case HEARD_END:
        /* Mostly it has died; then this says no more than its pidfd does. */
        handle_reconciler_exit(l);
        if (is_connected(l) && l->reconciler.pid == pid) let_exit(l);
        break;
    case HEARD_MALFORMED:
        end_reconciler(l, "a malformed frame");
        break;
    }
}

/* What could not be ended is left to PDEATHSIG, and named. */
static void name_what_is_left(struct launcher *l) {
    for (uint32_t place = 0; place < l->attempts.used; place++) {
        const struct attempt *a = attempt_at(&l->attempts, place);
        if (l->attempts.ids[place] == 0 || attempt_is_over(a)) continue;
        say("%s could not be ended: process %d", a->name, a->init.pid);
        l->status = 1;
    }
}

void handle_pause(struct launcher *l) {
    if (!timer_rang(l->pause)) return;
    switch (l->phase) {
    case PHASE_RUNNING:
        if (l->reconciler.pid == 0)
            start_reconciler(l);
        else
            kill_reconciler(l, "it closed its socket");
        break;
    case PHASE_STOPPING:
        kill_reconciler(l, "it did not exit after its stop request");
        break;
    case PHASE_TAKING_DOWN:
        end_everything(l);
        break;
    case PHASE_ENDING:
        name_what_is_left(l);
        l->over = true;
        break;
    }
}

void handle_liveness(struct launcher *l) {
    enum alive alive = liveness_look(&l->liveness);
    if (alive == ALIVE_ASK) send_event(l, E_ASK, 0, 0);
    if (alive == ALIVE_NOT) end_reconciler(l, "it does not answer");
}

void handle_late_end(struct launcher *l) {
    if (timer_rang(l->end) && l->phase == PHASE_RUNNING)
        take_down(l, "the reconciler has not stopped the containers in time");
}

void handle_termination(struct launcher *l, uint32_t signal) {
    /* It has its patience to say how long the end may take. */
    if (l->terminating == 0 && !l->bounded) timer_set_after(l->end, l->liveness.patience);
    l->terminating = signal;
    service_stopping(l);
    if (!sleep_rings(l, RANG_SIGNAL, 0)) send_event(l, E_TERMINATE, signal, sizeof signal);
    /* Whoever asks for the end does not wait out the pause of a reconciler that kept dying. */
    l->reconciler.quick_deaths = 0;
    if (l->phase == PHASE_RUNNING && l->reconciler.pid == 0) start_reconciler(l);
}

/*
 * All that a reconciler knows it reads when it starts: to read everything anew is to be another one. Containers and
 * clients on local sockets are kept, as at any death of it.
 */
void handle_reload(struct launcher *l) {
    struct reconciler *r = &l->reconciler;
    if (l->terminating != 0 || l->phase != PHASE_RUNNING) return;
    service_reloading(l);
    if (sleep_rings(l, RANG_SIGNAL, 0)) return;
    r->quick_deaths = 0;
    if (r->pid == 0)
        start_reconciler(l);
    else
        kill_reconciler(l, "its successor is to read everything anew");
}

bool is_over(const struct launcher *l) {
    return l->over || ((l->phase == PHASE_TAKING_DOWN || l->phase == PHASE_ENDING) && l->attempts.live == 0);
}
