/* Every structure that is handed over: one list of all its members each. */
#pragma once

#include "form.h"

/* Kinds of records. A number that has been given out means what it means for ever. */
enum record_kind {
    RECORD_LAUNCHER = 1,
    RECORD_ATTEMPT = 2,
    RECORD_KEEP = 3,
    RECORD_RELAY = 4,
    RECORD_SESSION = 5,
    RECORD_LOCK = 6,
    RECORD_STREAM = 7,
    RECORD_OUTSIDE = 8,
};

extern const struct layout launcher_layout;
extern const struct layout attempt_layout;
extern const struct layout keep_layout;
extern const struct layout relay_layout;
extern const struct layout session_layout;
extern const struct layout lock_layout;
extern const struct layout stream_layout;

/* Parts that handover.c writes by itself: what has a length of its own. */
enum launcher_part { PART_GLOBAL = 1001, PART_DIRECTORY = 1002, PART_MOUNTS = 1003 };
enum attempt_part {
    PART_ATTEMPT_RECORD = 1001,
    PART_RING = 1002,      /* u64 begin, u64 end, then the bytes between them */
    PART_GO = 1003,        /* the list */
    PART_GO_FD = 1004,     /* each of its descriptors, in order */
    PART_GO_FD_NONE = 1005 /* in the place of one that is not there */
};
enum relay_part { PART_LINES = 1001 };
enum stream_part { PART_REST = 1001 };

/* What lies in no structure of the core, gathered; -1: none. */
struct outside {
    int proc;             /* senders.h */
    int notify;           /* notify.h */
    int memory_score;     /* inherited.h */
    int own_score;        /* of it */
    int started_priority; /* of it */
    int devices;          /* null-devices.h */
    int own_namespace;    /* the minimal mount namespace */
};

extern const struct layout outside_layout;
