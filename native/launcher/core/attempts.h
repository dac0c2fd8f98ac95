/* The attempts: one start of a container each, from prepare until it is forgotten. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "../failure.h"
#include "../sandbox/launch.h"
#include "frames.h"
#include "health-state.h"
#include "ring.h"

enum {
    ATTEMPT_LIMIT = 4096,
    ATTEMPT_SIZE = 8192, /* two pages of 4096 bytes each; the second is touched by a large record only */
    DRAIN_READ = 16384,
    DRAIN_TURN = 65536,  /* bytes of one descriptor in one turn of the loop */
    DRAIN_END = 2 << 20, /* of an ended attempt: more than a pipe holds */
};

enum attempt_state {
    ATTEMPT_FREE = 0,
    ATTEMPT_PREPARING = 1,
    ATTEMPT_PREPARED = 2,
    ATTEMPT_RUNNING = 3,
    ATTEMPT_EXITED = 4,
    ATTEMPT_FAILED = 5,
};

/* Where a go stands: none was given, it waits for `after`, it was sent to the init. */
enum go_state { GO_NONE, GO_WAITS, GO_SENT };

/* A go that waits: its op list and descriptors. */
struct go_list {
    uint8_t *bytes;
    size_t size;
    int fds[FRAME_FDS];
    size_t nfds;
};

struct attempt {
    uint64_t id;
    uint8_t state;
    uint8_t go_state;
    bool changed;     /* E_ATTEMPT is due */
    bool output_told; /* E_OUTPUT was sent, no R_READ since */
    bool forgotten;   /* goes as soon as it is reaped */
    uint32_t life;    /* tells a stale event from one of the attempt that has this place now */
    uint32_t place;
    struct init init;
    uint64_t after;
    uint32_t prepare_serial; /* requests that are not answered yet, 0: none */
    uint32_t go_serial;
    uint32_t forget_serial;
    uint64_t prepared_ns;
    uint64_t started_ns;
    uint64_t exited_ns;
    uint32_t exit_kind;
    uint32_t exit_value;
    uint32_t oom_kills;
    pid_t application; /* as the host sees it, 0: none was started */
    struct health health;
    struct go_list go;
    struct ring ring;
    struct failure failure;
    uint8_t hash[HASH_SIZE];
    char name[NAME_LIMIT + 1];
    uint32_t record_size;
    uint8_t record[RECORD_LIMIT];
};

/* All of it lies in memory that no fork copies. `ids` mirrors the places, so that a look-up walks little memory. */
struct attempts {
    uint8_t *places;
    uint64_t *ids;
    uint8_t *scratch; /* output on its way into a ring */
    uint32_t used;    /* no place from here on was ever taken */
    uint32_t live;    /* inits that are not reaped */
    uint32_t waiting; /* gos that wait for another attempt */
    uint64_t fired;   /* the last whose go has waited and was sent, 0: it runs, or has failed */
    uint64_t fired_ns;
    uint32_t *changed_places;
    uint32_t changed;
};

/* Takes the memory, once. -1 and errno when there is none. */
int attempts_open(struct attempts *all);
struct attempt *attempt_at(const struct attempts *all, uint32_t place);
/* NULL when there is none with this id. */
struct attempt *attempt_find(const struct attempts *all, uint64_t id);
/* By the process id of its init, which is not reaped yet. */
struct attempt *attempt_find_process(const struct attempts *all, pid_t pid);
/* A free place, NULL when all are taken. */
struct attempt *attempt_add(struct attempts *all, uint64_t id);
/* Its init has ended, one way or the other. */
bool attempt_is_over(const struct attempt *a);
void attempt_remove(struct attempts *all, struct attempt *a);
/* E_ATTEMPT is due. */
void attempt_changed(struct attempts *all, struct attempt *a);
void attempts_all_changed(struct attempts *all);
/* The answers that the last reconciler waited for are nobody's any more. */
void attempts_disconnect(struct attempts *all);
/* SIGKILL to every init. */
void attempts_kill_all(const struct attempts *all);
/* SIGTERM to those that run, SIGKILL to those that do not yet. */
void attempts_terminate_all(const struct attempts *all);
