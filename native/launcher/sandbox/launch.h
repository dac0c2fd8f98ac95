/* How an init is made and spoken with: the sandbox's one door for the core. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../failure.h"
#include "ops.h"

/*
 * The process side of an attempt. launch_prepare fills it in; the core watches the descriptors with epoll, closes them
 * and reaps (waitid P_PIDFD; the exit signal is SIGCHLD). All are close-on-exec and non-blocking, -1 when absent.
 */
struct init {
    pid_t pid;
    int pidfd;
    int control;        /* our end of the SOCK_SEQPACKET pair */
    int output[2];      /* read ends of stdout's and stderr's pipes, -1: /dev/null */
    bool relayed[2];    /* which of them goes to the runtime's own */
    uint32_t ring_size; /* the larger of the sizes that OUTPUT asks for, 0 when none does */
    int oom;            /* a duplicate of OOM's descriptor */
    bool own_network;   /* a network namespace that is nobody else's */
};

/*
 * Makes the init: control socket, pipes, clone3 (CLONE_PIDFD, CLONE_INTO_CGROUP). It does not wait: the init works on
 * and sends CONTROL_PREPARED or CONTROL_FAILURE. 0, or -1 with the failure and nothing left behind; EMFILE when it
 * would take descriptors from `bound` on.
 *
 * `name` is the container's, for those who look at processes. `network`: a network namespace that launch_network() has
 * made and nobody has used, for one that is to have its own; -1: it makes one.
 *
 * `prepare`, its bytes and `why` lie in memory that the init inherits, the rest of the launcher's data does not
 * (memory.h): after the clone the child touches only them and its own stack, not `init`. The descriptors stay the
 * caller's.
 *
 * What an init finds: descriptor 0 is /dev/null (read-write), 1 and 2 are the host's; SIGTERM, SIGINT, SIGHUP, SIGCHLD
 * and SIGPIPE are blocked, every disposition is the default one; what inherited.h gives back is as the launcher needs
 * it.
 */
int launch_prepare(struct init *init, struct ops *prepare, const char *name, int network, int bound,
                   struct failure *why);

/* Whether it is to have a network namespace of its own. */
bool launch_takes_network(const struct ops *prepare);

/*
 * Has a child make a network namespace, its loopback device up, and ends it. Gives our end of the socket that it comes
 * over, which does not block; -1 and errno: there is no child.
 */
int launch_network(void);

/* A descriptor of the namespace. -1 and errno: EAGAIN or EINTR when it is not there yet, else there will be none. */
int network_receive(int socket);

/*
 * Sends the go list and its descriptors to the prepared init. It does not wait: the init answers CONTROL_RUNNING when
 * exec is reached, or CONTROL_FAILURE. 0, or -1 with the failure.
 */
int launch_go(struct init *init, const struct ops *go, struct failure *why);

/* pidfd_send_signal(2) to the init. */
int init_kill(const struct init *init, int signal);
