/* The probes, and how one is asked. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "../probe.h"

enum {
    PROBE_LIMIT = 1024,
    CHILD_LIMIT = 16, /* processes that look into containers at once: the others wait for their turn */
};

enum probe_state {
    PROBE_FREE,
    PROBE_HELD,  /* until ORDER_BEGIN */
    PROBE_WAITS, /* for its turn */
    PROBE_DIALS, /* for a connection */
    PROBE_ASKS,  /* for the status line */
    PROBE_JOINS, /* for a process in the container */
    PROBE_DONE,  /* it has given its verdict */
};

struct probe {
    enum probe_state state;
    struct probe_order order;
    int pidfd;
    int list; /* a memfd */
    int fds[PROBE_FDS];
    size_t nfds;
    uint64_t began; /* CLOCK_MONOTONIC in ms */
    int fd;         /* the connection, or the control socket of who joins */
    pid_t joiner;
    pid_t program;
    bool born;
    uint32_t failed; /* in a row */
    char message[PROBE_MESSAGE];
    char told[PROBE_MESSAGE];
};

struct prober {
    int socket;
    int bound;
    int epoll;
    int network; /* our own network namespace */
    uint32_t used;
    uint32_t children;
    struct probe *probes;
    /* When each is to be looked at, its turn or the end of its time: together, since all are read at each wake. */
    uint64_t *due;
    uint8_t *text; /* the list that is being read */
};

static const uint64_t NEVER = UINT64_MAX;

/* CLOCK_MONOTONIC in ms. */
uint64_t now_ms(void);
/* When it is to be looked at (CLOCK_MONOTONIC in ms). */
void probe_due(struct prober *p, const struct probe *probe, uint64_t at);
/* Whether a process joins the container for it. */
bool probe_joins(const struct probe *probe);
/* Begins to ask. */
void probe_start(struct prober *p, struct probe *probe);
/* Its descriptor has something. */
void probe_heard(struct prober *p, struct probe *probe);
/* A child has ended; false when it was none of this probe's. */
bool probe_reaps(struct prober *p, struct probe *probe, pid_t pid, int status);
/* The answer, or that there is none: counted, and told when it makes a verdict. */
void probe_finish(struct prober *p, struct probe *probe, bool good);
/* Ends what is under way; nothing is told. */
void probe_abandon(struct prober *p, struct probe *probe);

/* In dial.c and joined.c: begin, and go on; who joins is heard when it ends. A failure is written to `message`. */
bool dial_begin(struct prober *p, struct probe *probe);
void dial_heard(struct prober *p, struct probe *probe);
bool look_begin(struct prober *p, struct probe *probe);
/* What it asked with is left behind. */
void look_end(struct probe *probe);

/* Waits for `events` of probe->fd. 0, or -1 and errno. */
int watch_probe(struct prober *p, struct probe *probe, uint32_t events);
void close_probe(struct prober *p, struct probe *probe);
__attribute__((format(printf, 2, 3))) void note(struct probe *probe, const char *format, ...);
