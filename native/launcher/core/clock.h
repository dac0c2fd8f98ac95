/* The clocks of clock_gettime(2) that are told, in ns. */
#pragma once

#include <stdint.h>

/* CLOCK_BOOTTIME. */
uint64_t boottime_now(void);
/* CLOCK_MONOTONIC. */
uint64_t monotonic_now(void);
