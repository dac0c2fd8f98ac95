/* Named descriptors, kept for the next reconciler. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "../failure.h"
#include "../wire.h"

enum { KEEP_LIMIT = 2048, KEEP_FIRST_NUMBER = 10 };

struct keep {
    bool taken;
    int fd;
    char name[NAME_LIMIT + 1];
};

struct keeps {
    struct keep *places;
    uint32_t end; /* no place from here on is taken: what was never used takes no memory */
};

/* Takes the memory, once. -1 and errno when there is none. */
int keeps_open(struct keeps *all);
/* Takes the descriptor over; the same name replaces. 0, or -1 and the failure. */
int keep_set(struct keeps *all, const char *name, int fd, struct failure *why);
void keep_drop(struct keeps *all, const char *name);
/*
 * Takes a connection that waits at the listening socket of this name and sends it over the socket `to`; under `name`,
 * unless that is empty, it is kept. 0, or -1 and the failure: EAGAIN, none waits.
 */
int keep_accept(struct keeps *all, const char *listener, const char *name, int to, struct failure *why);
