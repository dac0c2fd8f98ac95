/* How a step that failed is told. */
#pragma once

#include <stdint.h>

/* Where a request failed when it was not an op: numbers beside the ops' own. native/wire/ops.ts has the same table. */
enum step {
    STEP_REQUEST = 0x100, /* a request or op list that does not parse */
    STEP_ATTEMPT = 0x101, /* ENOENT, EEXIST (same id, other hash), EBUSY, ENOSPC (too many), EINVAL (its state) */
    STEP_WATCH = 0x102,
    STEP_KEEP = 0x103,
    STEP_KILL = 0x104,
    STEP_MEMORY = 0x105,
    STEP_CLONE = 0x110,   /* clone3 */
    STEP_CONTROL = 0x111, /* the control socket: making it, sending go, a bad message */
    STEP_INIT = 0x112,    /* the init itself: session, descriptors, signals, or it died on its way */
    STEP_FORK = 0x113,    /* the application's fork */
    STEP_STDIO = 0x114,   /* the descriptors that the application starts with */
    STEP_HEALTH = 0x116,  /* how a container is asked: ENOENT, EINVAL (its state), E2BIG, EAGAIN */
    STEP_JOIN = 0x115,    /* joining a container that runs */
    STEP_REEXEC = 0x117,  /* another launcher in the place of this one */
};

enum { FAILURE_SUBJECT = 256 };

/* Which step failed, errno(3), and on what. `subject` is terminated, cut when it is too long. */
struct failure {
    uint16_t step;
    int error;
    char subject[FAILURE_SUBJECT];
};

/* Fills in a failure and gives -1, so that `return fail(...)` reads well. `format` is printf's. */
__attribute__((format(printf, 4, 5))) int fail(struct failure *why, uint16_t step, int error, const char *format, ...);
