/* The reconciler at rest: it has exited because nothing was left to do, and what rings starts another one. */
#pragma once

#include "launcher.h"

/* Numbers on the wire: what has woken it. */
enum rang { RANG_NOTHING, RANG_WATCH, RANG_DEADLINE, RANG_ATTEMPT, RANG_SIGNAL, RANG_OUTPUT };

/*
 * R_SLEEP of one that has read so many events. 0: from now on nothing is told, and its exit is no death. -1 when more
 * has been told, or is to be: then it has something to do.
 * With `output`, what containers write rings, too.
 */
int sleep_begin(struct launcher *l, uint64_t events_read, bool output, struct failure *why);
/* Something rings. True when it sleeps, and so is not told: whoever is started next is, by the greeting. */
bool sleep_rings(struct launcher *l, enum rang rang, uint64_t key);
/* It sleeps, has exited, and something has rung. */
bool sleep_is_over(const struct launcher *l);
/* The next one is started: what the greeting says of the sleep is kept, all else begins anew. */
void sleep_end(struct launcher *l);
