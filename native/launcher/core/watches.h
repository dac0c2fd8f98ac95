/* Descriptors that the reconciler wants to hear of, while it is there or not. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "../failure.h"

enum { WATCH_LIMIT = 2048 };

enum watch_kind { WATCH_PRIORITY = 1, WATCH_EVENTFD = 2, WATCH_READABLE = 3, WATCH_WRITABLE = 4 };

struct watch {
    bool taken;
    bool armed;  /* WATCH_PRIORITY: what rings while it is not is not told */
    bool missed; /* it rang, and nobody was told */
    uint8_t kind;
    int fd;
    uint64_t key;
    uint32_t life; /* tells a stale event from one of the watch that has this place now */
};

struct watches {
    int epoll;
    struct watch *places;
};

/* Takes the memory, once. -1 and errno when there is none. */
int watches_open(struct watches *all);
/* Takes the descriptor over; the same key replaces. 0, or -1 and the failure. */
int watch_set(struct watches *all, uint64_t key, uint8_t kind, int fd, struct failure *why);
int watch_rearm(struct watches *all, uint64_t key, struct failure *why);
void watch_drop(struct watches *all, uint64_t key);
void watch_drop_all(struct watches *all);
/*
 * Its descriptor is ready. True when that is to be told, with the key. One that somebody else was faster to read is
 * rearmed and not told, unless that fails: then it is told, so that whoever rearms it hears why.
 */
bool watch_rings(struct watches *all, uint32_t place, uint32_t life, uint64_t *key);
/* Nobody is told that it rang: watch_missed gives each of those once, and false when there is none. */
void watch_miss(struct watches *all, uint32_t place);
bool watch_missed(struct watches *all, uint64_t *key);
