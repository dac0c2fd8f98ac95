/* What the loop waits for: descriptors in an epoll set, each with what it belongs to. */
#pragma once

#include <stdint.h>

enum source {
    SOURCE_BULK = 1, /* the nested set of the containers' output */
    SOURCE_SIGNAL,
    SOURCE_SOCKET,
    SOURCE_RECONCILER, /* its pidfd */
    SOURCE_DEADLINE,
    SOURCE_PAUSE,    /* the timer before the next start of the reconciler, or of the end */
    SOURCE_SERVICE,  /* the timer of what the init system is told */
    SOURCE_LIVENESS, /* the timer of liveness.h */
    SOURCE_END,      /* the timer of an end that takes too long */
    SOURCE_WATCH,
    SOURCE_INIT, /* an init's pidfd */
    SOURCE_CONTROL,
    SOURCE_NOTIFY, /* what a container says of itself */
    SOURCE_PROBER,
    SOURCE_HEALTH,  /* the timer of health.h */
    SOURCE_SESSION, /* the control socket of who joins a container */
    SOURCE_STDOUT,
    SOURCE_STDERR,
    SOURCE_RELAY,      /* a pipe whose output goes to the runtime's own */
    SOURCE_STREAM,     /* the runtime's stdout or stderr */
    SOURCE_PROOF,      /* the socket of a successor that proves itself (reexec/proof.h) */
    SOURCE_PROOF_LATE, /* the timer of it */
    SOURCE_SPARE,      /* who makes a network namespace, and the timer of its end (spare-network.h) */
    SOURCE_MOUNTS,     /* the host's mount table, where its mounts do not reach the reconciler */
};

/* LIFE_MASK: as much of a life as an epoll tag holds. */
enum { LIFE_MASK = 0xffffff };

/* What epoll gives back. `life` tells a stale event from one of what has this place now. */
struct tag {
    enum source source;
    uint32_t place;
    uint32_t life;
};

struct tag tag_of(uint64_t data);

/* epoll_ctl(2) with these events (EPOLLIN and the like). 0, or -1 and errno. */
int source_add(int epoll, int fd, uint32_t events, struct tag tag);
int source_change(int epoll, int fd, uint32_t events, struct tag tag);

/*
 * Takes a descriptor out of the set and closes it; nothing is done when it is -1, which it is afterwards. A child that
 * is being made may hold a copy, so closing alone would not end the watch.
 */
void source_close(int epoll, int *fd);
