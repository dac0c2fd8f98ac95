/*
 * Output that goes to the runtime's own (`io: inherit`): read from a container's pipe and written on line by line, so
 * that no container holds the runtime's stdout or stderr. What belongs to a relay lives until its pipe ends, whatever
 * becomes of the attempt.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "../wire.h"

enum { RELAY_LIMIT = 8192 /* two for each attempt */ };

struct relay {
    int fd;         /* the pipe, -1: the place is free */
    int stream;     /* 1 or 2 */
    bool stalled;   /* the runtime's stream takes nothing: the pipe is not read meanwhile */
    uint32_t life;  /* tells a stale event from one of the relay that has this place now */
    uint32_t size;  /* bytes that wait for their end of line */
    uint8_t *bytes; /* taken with the first byte */
};

struct relays {
    int epoll; /* of the runtime's streams */
    int bulk;  /* of the pipes */
    struct relay *places;
    uint32_t used;    /* no place from here on was ever taken */
    uint32_t stalled; /* how many are */
};

/* Takes the memory, once. -1 and errno when there is none. */
int relays_open(struct relays *all);
/* Takes the pipe over. 0, or -1 and errno, and the pipe stays the caller's. */
int relay_add(struct relays *all, int fd, int stream);
/* One that was handed over, with the bytes that wait for their end of line; relays_watch follows. 0, or -1, errno. */
int relay_restore(struct relays *all, int fd, int stream, struct span bytes);
/* The pipes of those are waited for. 0, or -1 and errno. */
int relays_watch(struct relays *all);
/* A pipe is ready: at most `limit` bytes of it are written on. */
void handle_relay(struct relays *all, uint32_t place, uint32_t life, uint32_t limit);
/* The runtime's stream takes something again. */
void handle_stream(struct relays *all, int stream);
/* What is there is written on, as far as the streams take it: nobody comes afterwards. */
void relays_finish(struct relays *all);
