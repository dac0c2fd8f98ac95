/* What the launcher knows of its own replacement. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct reexec {
    uint32_t count; /* how often one launcher has taken over from another since the first one was started */
    /* In the launcher that is to be replaced: */
    pid_t child;     /* who proves itself, 0: nobody */
    int verdict;     /* our end of its socket, -1: none */
    int timer;       /* of its time */
    uint32_t serial; /* of R_PROVE, which waits for an answer; 0: nobody waits */
    int program;     /* what has proven itself, sealed; -1: nothing */
    char *command;   /* its command line, each word with its NUL */
    size_t command_size;
    bool due;         /* it is to be executed as soon as the reconciler has gone */
    uint64_t left_ns; /* when the former launcher left its loop for it, CLOCK_MONOTONIC */
    /* In the successor that proves itself: */
    int proves; /* its end of the socket, -1: it does not */
};
