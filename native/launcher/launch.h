/* Between the core (attempts, event loop) and the sandbox (ops, launch, init): how an init is made and spoken with. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "wire.h"

/* Where a request failed when it was not an op: numbers beside the ops' own. native/wire/ops.ts has the same table. */
enum step {
    STEP_REQUEST = 0x100, /* a request or op list that does not parse */
    STEP_ATTEMPT =
        0x101, /* the attempt: ENOENT, EEXIST (same id, other hash), EBUSY, ENOSPC (too many), EINVAL (its state) */
    STEP_WATCH = 0x102,
    STEP_KEEP = 0x103,
    STEP_KILL = 0x104,
    STEP_MEMORY = 0x105,
    STEP_CLONE = 0x110,   /* clone3 */
    STEP_CONTROL = 0x111, /* the control socket: making it, sending go, a bad message */
    STEP_INIT = 0x112,    /* the init itself: session, descriptors, signals, or it died on its way */
    STEP_FORK = 0x113,    /* the application's fork */
    STEP_STDIO = 0x114,   /* the descriptors that the application starts with */
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

/*
 * A checked op list (ops.h says what is in it). It points into the bytes and the descriptors that it was parsed from
 * and owns neither: they must outlive it.
 */
struct ops;

/*
 * Parses and checks a whole list; nothing is done. `go` says which ops may stand in it. `c` must end where the list
 * ends. Gives NULL and the failure (EINVAL, ENOMEM) when anything is wrong.
 */
struct ops *ops_parse(struct cursor *c, const int *fds, size_t nfds, bool go, struct failure *why);
void ops_free(struct ops *ops);

/*
 * The process side of an attempt. launch_prepare fills it in; the core watches the descriptors with epoll, closes them
 * and reaps (waitid P_PIDFD; the exit signal is SIGCHLD). All are close-on-exec and non-blocking, -1 when absent.
 */
struct init {
    pid_t pid;
    int pidfd;
    int control;        /* our end of the SOCK_SEQPACKET pair */
    int output[2];      /* read ends of stdout's and stderr's pipes, -1: /dev/null */
    uint32_t ring_size; /* the larger of the sizes that OUTPUT asks for, 0 when none does */
    int oom;            /* a duplicate of OOM's descriptor */
};

/* Where the minimal namespace has the null device, once it is needed. */
static const char devices_directory[] = "/devices";

/*
 * Makes the init: control socket, pipes, clone3 (CLONE_PIDFD, CLONE_INTO_CGROUP). It does not wait: the init works on
 * and sends CONTROL_PREPARED or CONTROL_FAILURE. 0, or -1 with the failure and nothing left behind; EMFILE when it
 * would take descriptors from `bound` on.  `prepare`, its bytes and `why` lie in memory that the init inherits, the
 * rest of the launcher's data does not (memory.h): after the clone the child touches only them and its own stack, not
 * `init`. The descriptors stay the caller's.
 */
int launch_prepare(struct init *init, struct ops *prepare, int bound, struct failure *why);

/*
 * Sends the go list and its descriptors to the prepared init. It does not wait: the init answers CONTROL_RUNNING when
 * exec is reached, or CONTROL_FAILURE. 0, or -1 with the failure.
 */
int launch_go(struct init *init, const struct ops *go, struct failure *why);

/* Notes, once, where the arguments and the environment of this process lie: an init wipes its copy of them. */
void note_strings(char **arguments);

/*
 * What an init finds: descriptor 0 is /dev/null (read-write), 1 and 2 are the host's; SIGTERM, SIGINT, SIGHUP, SIGCHLD
 * and SIGPIPE are blocked, every disposition is the default one; the soft limit of open files is raised, which this
 * undoes (1024, or the hard limit where that is lower): the init calls it before it does anything for the application.
 */
void restore_file_limit(void);

/* The same for the priority: what the launcher was started with. */
void restore_priority(void);

/* What an init says on its control socket, one message each. The launcher takes nothing in it on trust. */
enum control_kind {
    CONTROL_PREPARED = 1,
    CONTROL_RUNNING = 2, /* exec of the application is reached */
    CONTROL_FAILURE = 3, /* then the init exits */
    CONTROL_EXIT = 4,    /* the application ended, the init exits next */
};

/* exit_kind of CONTROL_EXIT and of E_ATTEMPT. */
enum exit_kind { EXIT_NONE = 0, EXIT_CODE = 1, EXIT_SIGNAL = 2 };

struct control_message {
    uint16_t kind;
    uint16_t step;       /* CONTROL_FAILURE */
    int32_t error;       /* CONTROL_FAILURE: errno */
    uint32_t exit_kind;  /* CONTROL_EXIT */
    uint32_t exit_value; /* CONTROL_EXIT: exit code or signal */
    char subject[FAILURE_SUBJECT];
};
