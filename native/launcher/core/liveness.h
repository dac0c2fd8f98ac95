/*
 * Whether the reconciler still answers: the one place that knows when it last did. One that has said nothing for a
 * while is asked (E_ASK), and one that then says nothing for as long again is hung. Whatever it says is an answer.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
    PATIENCE_DEFAULT = 30000,  /* ms */
    PATIENCE_AT_START = 60000, /* for its first word: it has to be loaded */
    /*
     * Patiences without an answer of any reconciler until the init system is to know: one that hangs is killed after
     * two, and its successor has as long again.
     */
    PATIENCES_OF_ALL = 4
};

struct liveness {
    int timer;         /* CLOCK_MONOTONIC: a machine that sleeps asks nobody */
    uint32_t patience; /* ms of silence until it is asked, and then until it is hung */
    bool asked;        /* and has said nothing since */
    uint64_t heard_ns; /* CLOCK_MONOTONIC: when it last said something, 0: nothing yet */
    uint64_t waits_ns; /* since when an answer of whichever reconciler is missed, 0: none is due */
};

enum alive { ALIVE, ALIVE_ASK /* it is to be asked */, ALIVE_NOT };

/* There is a new one. */
void liveness_begin(struct liveness *of);
/* There is none, until the next one comes. */
void liveness_end(struct liveness *of);
/* There is none, and none is needed: it sleeps. */
void liveness_rest(struct liveness *of);
/* It has said something. */
void liveness_heard(struct liveness *of);
/* The timer is ready. */
enum alive liveness_look(struct liveness *of);
/* Whether an awake reconciler has answered within the bound of all. */
bool liveness_is_answered(const struct liveness *of);
