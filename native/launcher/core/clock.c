#define _GNU_SOURCE
#include "clock.h"

#include <time.h>

static uint64_t now(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

uint64_t boottime_now(void) { return now(CLOCK_BOOTTIME); }
uint64_t monotonic_now(void) { return now(CLOCK_MONOTONIC); }
