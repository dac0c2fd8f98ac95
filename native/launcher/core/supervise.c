#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launcher.h"

static const uint64_t MILLISECOND = 1000000;
static const uint64_t LIFE_OF_SUCCESS = 60000 * MILLISECOND;

enum {
    PAUSE_FIRST = 100, /* ms */
    PAUSE_LONGEST = 10000,
    PAUSE_AT_END = 10000, /* for the reconciler after R_STOP, then for what is killed */
    DEATHS_TERMINATING = 5,
};

static void set_pause(struct launcher *l, uint64_t milliseconds) {
    struct itimerspec when = {
        .it_value = {.tv_sec = (time_t)(milliseconds / 1000), .tv_nsec = (long)(milliseconds % 1000 * MILLISECOND)}};
    timerfd_settime(l->pause, 0, &when, NULL);
}

/* Without a reconciler: what still runs is killed, and the loop ends with the last of it. */
static void end_everything(struct launcher *l) {
    l->phase = PHASE_ENDING;
    attempts_kill_all(l);
    set_pause(l, PAUSE_AT_END);
    if (l->attempts.live == 0) l->over = true;
}

static uint64_t next_pause(struct reconciler *r) {
    uint64_t pause = PAUSE_FIRST;
    for (uint32_t i = 0; i < r->quick_deaths && pause < PAUSE_LONGEST; i++) pause *= 2;
    r->quick_deaths++;
    return pause < PAUSE_LONGEST ? pause : PAUSE_LONGEST;
}

/* Without one the containers cannot be stopped in order: when that has been tried often enough, they are killed. */
static bool gives_up(struct launcher *l) {
    if (l->terminating == 0 || ++l->deaths_terminating < DEATHS_TERMINATING) return false;
    say("the reconciler does not come up to stop the containers: they are killed");
    l->status = 1;
    end_everything(l);
    return true;
}

void start_reconciler(struct launcher *l) {
    struct reconciler *r = &l->reconciler;
    r->starts++;
    r->started_ns = boottime_now();
    if (spawn_reconciler(l) == 0) {
        send_greeting(l);
        return;
    }
    int error = errno;
    if (gives_up(l)) return;
    uint64_t pause = next_pause(r);
    say("the reconciler cannot be started: %s; next attempt in %llu ms", strerror(error), (unsigned long long)pause);
    set_pause(l, pause);
}

static void close_watched(struct launcher *l, int *fd) {
    if (*fd < 0) return;
    epoll_ctl(l->epoll, EPOLL_CTL_DEL, *fd, NULL);
    close(*fd);
    *fd = -1;
}

/* What belonged to this one: its successor asks for it anew. */
static void disconnect(struct launcher *l) {
    close_watched(l, &l->reconciler.socket);
    inbox_clear(&l->reconciler.in);
    outbox_clear(&l->reconciler.out);
    l->reconciler.sync_due = false;
    watch_drop_all(l);
    deadline_set(l, 0);
    attempts_disconnect(&l->attempts);
}

void end_reconciler(struct launcher *l, const char *reason) {
    if (l->reconciler.pid == 0) return;
    say("the reconciler is killed: %s", reason);
    kill(l->reconciler.pid, SIGKILL);
    disconnect(l);
}

void handle_reconciler_exit(struct launcher *l) {
    struct reconciler *r = &l->reconciler;
    siginfo_t info = {0};
    if (r->pid == 0 || waitid(P_PID, (id_t)r->pid, &info, WEXITED | WNOHANG) != 0 || info.si_pid == 0) return;
    handle_last_requests(l);
    disconnect(l);
    close_watched(l, &r->pidfd);
    r->pid = 0;
    if (boottime_now() - r->started_ns >= LIFE_OF_SUCCESS) r->quick_deaths = r->deaths = 0;
    r->deaths++;
    if (l->phase != PHASE_RUNNING) {
        end_everything(l);
        return;
    }
    if (gives_up(l)) return;
    uint64_t pause = next_pause(r);
    say("the reconciler ended with %s %d; it is started again in %llu ms",
        info.si_code == CLD_EXITED ? "exit code" : "signal", info.si_status, (unsigned long long)pause);
    set_pause(l, pause);
}

void handle_pause(struct launcher *l) {
    uint64_t count;
    if (read(l->pause, &count, sizeof count) != sizeof count) return;
    if (l->phase == PHASE_ENDING)
        l->over = true; /* PDEATHSIG takes what could not be reaped */
    else if (l->phase == PHASE_STOPPING)
        end_reconciler(l, "it did not exit after its stop request");
    else if (l->reconciler.pid == 0)
        start_reconciler(l);
}

static void tell_stopping(struct launcher *l) {
    if (!l->stop_told) notify_init_system("STOPPING=1");
    l->stop_told = true;
}

void handle_termination(struct launcher *l, uint32_t signal) {
    l->terminating = signal;
    tell_stopping(l);
    send_event(l, E_TERMINATE, signal, sizeof signal);
    /* Whoever asks for the end does not wait out the pause of a reconciler that kept dying. */
    l->reconciler.quick_deaths = 0;
    if (l->phase == PHASE_RUNNING && l->reconciler.pid == 0) start_reconciler(l);
}

void handle_stop(struct launcher *l, uint8_t status) {
    tell_stopping(l);
    l->status = status;
    l->phase = PHASE_STOPPING;
    set_pause(l, PAUSE_AT_END);
}
