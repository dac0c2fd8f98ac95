/* Sessions: processes that have joined a container, each from its request until all of it is reaped. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../failure.h"

enum { SESSION_LIMIT = 64 };

enum session_state {
    SESSION_FREE = 0,
    SESSION_JOINING,
    SESSION_RUNNING, /* exec is reached, or the file is open */
};

struct session {
    uint64_t id;
    uint64_t attempt;
    uint8_t state;
    bool copies;     /* a file: it has no process in the container */
    bool ending;     /* it was killed with what it belongs to */
    uint32_t life;   /* tells a stale event from one of the session that has this place now */
    uint32_t serial; /* of R_JOIN, which is not answered yet; 0: it is, or nobody waits */
    pid_t joiner;    /* who joins, or copies; 0: it has ended */
    pid_t pid;       /* the program in the container; 0: none yet, or it has ended */
    bool born;       /* there was one */
    int control;     /* our end, -1: it is closed */
    int32_t status;  /* of the one that ended last (wait(2)) */
    struct failure failure;
};

struct sessions {
    struct session places[SESSION_LIMIT];
    uint32_t live;
};

/* Whether somebody is in the container of this attempt. */
bool sessions_live_in(const struct sessions *all, uint64_t attempt);
