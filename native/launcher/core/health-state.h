/* What the launcher keeps of how an attempt is. Times are CLOCK_MONOTONIC in ms, 0: none. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "../probe.h"
#include "notice.h"

enum { ASKS_NOTIFY = 1, ASKS_READY = 2, ASKS_ALIVE = 4 };

/* Why it is to be ended. The first one stays. */
enum verdict { VERDICT_NONE = 0, VERDICT_LATE = 1, VERDICT_UNHEALTHY = 2, VERDICT_WATCHDOG = 3 };

enum { SAYS_STOPPING = 1, SAYS_RELOADING = 2 };

struct health {
    int notify;        /* the socket, -1: none */
    uint32_t revision; /* of what R_HEALTH has asked for, 0: nothing */
    uint8_t asks;
    uint8_t verdict;
    uint8_t says;
    bool said_ready; /* READY=1 has come, whether it is asked for or not */
    bool ready;
    uint64_t ready_ns; /* CLOCK_BOOTTIME */
    uint64_t within_at;
    uint64_t watchdog_at;
    uint32_t watchdog;
    uint64_t told_at; /* what it says of itself was told last */
    uint64_t tell_at; /* and is to be told again */
    char status[NOTICE_STATUS];
    char message[PROBE_MESSAGE]; /* why a probe has found it wanting */
};
