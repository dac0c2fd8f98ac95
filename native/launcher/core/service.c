#define _GNU_SOURCE
#include "service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "clock.h"
#include "notify.h"
#include "say.h"
#include "timers.h"

enum {
    STOPPING_INTERVAL = 5000,  /* ms between two words about an end that goes on */
    STOPPING_EXTENSION = 20000 /* ms that each of them asks for, EXTEND_TIMEOUT_USEC */
};

/* ms between two signs of life: half of what the init system waits (sd_watchdog_enabled(3)). 0: nobody waits. */
static uint64_t read_watchdog(void) {
    const char *limit = getenv("WATCHDOG_USEC");
    const char *process = getenv("WATCHDOG_PID");
    uint64_t usec = limit == NULL ? 0 : strtoull(limit, NULL, 10);
    if (process != NULL && strtol(process, NULL, 10) != getpid()) return 0;
    return usec == 0 || usec / 2000 > 0 ? usec / 2000 : 1;
}

static void set_timer(const struct launcher *l) {
    uint64_t next = l->watchdog_ms;
    if (l->stop_told && (next == 0 || next > STOPPING_INTERVAL)) next = STOPPING_INTERVAL;
    timer_set_after(l->service, next);
}

int service_open(struct launcher *l) {
    l->service = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (l->service < 0) return -1;
    l->watchdog_ms = read_watchdog();
    set_timer(l);
    return 0;
}

static void tell_status(const struct launcher *l) {
    if (l->stop_told || !l->ready_told || l->reloading) return;
    notify_init_system("STATUS=%s", l->service_text[0] == '\0' ? "Running" : l->service_text);
}

void service_ready(struct launcher *l) {
    bool told = l->ready_told && !l->reloading;
    l->ready_told = true;
    l->reloading = false;
    if (told || l->stop_told) return;
    notify_init_system("READY=1");
    tell_status(l);
}

void service_status(struct launcher *l, const char *text) {
    if (strcmp(l->service_text, text) == 0) return;
    snprintf(l->service_text, sizeof l->service_text, "%s", text);
    tell_status(l);
}

void service_reloading(struct launcher *l) {
    if (l->reloading || !l->ready_told) return;
    l->reloading = true;
    notify_init_system("RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=Reading everything anew",
                       (unsigned long long)(monotonic_now() / 1000));
}

/* The first of those that still run, as far as they have room. */
static void name_running(const struct launcher *l, char *names, size_t size) {
    size_t used = 0;
    names[0] = '\0';
    for (uint32_t place = 0; place < l->attempts.used; place++) {
        const struct attempt *a = attempt_at(&l->attempts, place);
        if (l->attempts.ids[place] == 0 || attempt_is_over(a)) continue;
        int length = snprintf(names + used, size - used, "%s%s", used == 0 ? "" : ", ", a->name);
        used += (size_t)length;
        if (used < size) continue;
        strcpy(names + size - sizeof "...", "...");
        return;
    }
}

static void tell_stopping(const struct launcher *l) {
    char names[STATUS_LIMIT];
    name_running(l, names, sizeof names);
    notify_init_system("STOPPING=1\nEXTEND_TIMEOUT_USEC=%u\nSTATUS=Stopping; containers that still run: %u%s%s",
                       STOPPING_EXTENSION * 1000, (unsigned)l->attempts.live, names[0] == '\0' ? "" : ": ", names);
}

void service_stopping(struct launcher *l) {
    if (l->stop_told) return;
    l->stop_told = true;
    tell_stopping(l);
    set_timer(l);
}

/* Whoever waits for signs of life waits for the reconciler's, too: it is what answers, decides and repairs. */
static void feed_watchdog(struct launcher *l) {
    bool answered = liveness_is_answered(&l->liveness);
    if (answered) notify_init_system("WATCHDOG=1");
    if (!answered && !l->unfed) say("no reconciler answers: the init system gets no sign of life");
    l->unfed = !answered;
}

void handle_service(struct launcher *l) {
    if (!timer_rang(l->service)) return;
    if (l->stop_told) tell_stopping(l);
    if (l->watchdog_ms != 0) feed_watchdog(l);
    set_timer(l);
}
