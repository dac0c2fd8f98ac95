/* The core's state. One of it exists; main.c makes it. */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../reexec/state.h"
#include "arrivals.h"
#include "attempts.h"
#include "frames.h"
#include "keeps.h"
#include "liveness.h"
#include "locks.h"
#include "relays.h"
#include "session-table.h"
#include "watches.h"

struct reconciler {
    char **command;
    char **first;  /* what is executed once, before the first reconciler and in its place; NULL: nothing (any more) */
    bool is_first; /* this is it */
    const char *directory; /* its working directory, as ours was */
    pid_t pid;             /* 0: none */
    int pidfd;
    int socket;        /* -1: none, or it was given up */
    uint32_t interest; /* what epoll watches the socket for */
    bool sync_due;     /* E_SYNCED follows when every attempt has been told */
    uint32_t starts;
    uint32_t quick_deaths; /* in a row, each before it had lived LIFE_OF_SUCCESS */
    uint64_t started_ns;
    uint64_t generation; /* the last one it said it would act on */
    uint32_t deaths;     /* while it did, by its own fault */
    bool faulted;        /* we have killed it, for what it did */
    uint64_t events_told;
    struct inbox in;
    struct outbox out;
};

/* The rest of the reconciler, if it has any (sleep.h). */
struct sleep {
    bool asleep;
    bool output; /* what containers write rings, too */
    bool deadline_rang;
    uint8_t rang; /* the first that did since */
    uint64_t key; /* of the watch */
    uint64_t since_ns;
    uint32_t count; /* of all sleeps */
};

enum { STATUS_LIMIT = 512 };

enum phase {
    PHASE_RUNNING,
    PHASE_STOPPING,    /* after R_STOP: the reconciler is to exit */
    PHASE_TAKING_DOWN, /* without a reconciler: the containers are asked to end */
    PHASE_ENDING,      /* without a reconciler: they are killed */
};

/* The child that asks containers how they are, once one is to be asked. */
struct prober {
    pid_t pid;  /* 0: none */
    int socket; /* -1: none, or it was given up */
    uint64_t started_ns;
};

struct launcher {
    pid_t pid;
    uint64_t started_ns;
    enum phase phase;
    uint32_t terminating; /* the signal that asked for it, 0: none */
    uint32_t deaths_terminating;
    uint8_t status;
    bool ready_told;
    bool stop_told;
    bool reloading;       /* told, and no reconciler has been ready since */
    bool unfed;           /* the last sign of life was withheld */
    bool terminal;        /* we have one, so that SIGHUP tells of its end */
    bool bounded;         /* it is said how long the end may take (R_ENDING) */
    bool over;            /* leave the loop, though something still runs */
    int descriptor_bound; /* from this number on no descriptor is taken */
    int namespace_of_reconciler;
    int epoll;
    int bulk;
    int signals;
    int deadline;
    int pause;
    int service; /* timer of what the init system is told */
    uint64_t watchdog_ms;
    int health; /* timer of what containers must say in time */
    uint64_t health_at;
    struct prober prober;
    char service_text[STATUS_LIMIT + 1]; /* what the reconciler says of itself */
    int end;                             /* what is to be down when it rings is taken down without the reconciler */
    sigset_t handled_signals;
    struct reconciler reconciler;
    struct sleep sleep;
    struct attempts attempts;
    struct watches watches;
    struct keeps keeps;
    struct relays relays;
    struct sessions sessions;
    struct liveness liveness;
    struct locks locks;
    struct arrivals arrivals;
    uint8_t global[RECORD_LIMIT];
    uint32_t global_size;
    struct reexec reexec;
};
