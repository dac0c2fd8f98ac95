#define _GNU_SOURCE
#include "timers.h"

#include <sys/timerfd.h>
#include <unistd.h>

static const uint64_t SECOND = 1000000000, MILLISECOND = 1000000;

static int set(int timer, int flags, uint64_t ns) {
    struct itimerspec when = {.it_value = {.tv_sec = (time_t)(ns / SECOND), .tv_nsec = (long)(ns % SECOND)}};
    return timerfd_settime(timer, flags, &when, NULL);
}

void timer_set_after(int timer, uint64_t milliseconds) { set(timer, 0, milliseconds * MILLISECOND); }

int timer_set_at(int timer, uint64_t ns) { return set(timer, TFD_TIMER_ABSTIME, ns); }

bool timer_rang(int timer) {
    uint64_t count;
    return read(timer, &count, sizeof count) == sizeof count;
}
