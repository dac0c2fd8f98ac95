#define _GNU_SOURCE
#include "service.h"

#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "notify.h"
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

void service_ready(struct launcher *l) {
    if (!l->ready_told) notify_init_system("READY=1\nSTATUS=Running");
    l->ready_told = true;
}

static void tell_stopping(const struct launcher *l) {
    notify_init_system("STOPPING=1\nEXTEND_TIMEOUT_USEC=%u\nSTATUS=Stopping; containers that still run: %u",
                       STOPPING_EXTENSION * 1000, (unsigned)l->attempts.live);
}

void service_stopping(struct launcher *l) {
    if (l->stop_told) return;
    l->stop_told = true;
    tell_stopping(l);
    set_timer(l);
}

void handle_service(struct launcher *l) {
    if (!timer_rang(l->service)) return;
    if (l->stop_told) tell_stopping(l);
    if (l->watchdog_ms != 0) notify_init_system("WATCHDOG=1");
    set_timer(l);
}
