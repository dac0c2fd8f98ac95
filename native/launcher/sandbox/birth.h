/* What a process of a container starts with, and its first steps. */
#pragma once

#include <stdbool.h>

#include "control.h"
#include "ops.h"

enum { TITLE_SIZE = 128 };

/* All else that it inherited is closed first. */
struct birth {
    struct ops *prepare;
    int control;   /* its end of the control socket */
    int output[2]; /* write ends of the application's stdout and stderr, -1: /dev/null */
    int devices;   /* a tmpfs that holds the node `null` */
    int proc;      /* a proc of the new PID namespace that is mounted nowhere, -1 when LABEL is not in the list */
    int *notify;   /* the socket of NOTIFY, -1: none */
    char title[TITLE_SIZE]; /* what ps shows of it */
    int network;            /* a network namespace that is to be its own, -1: it has none, or a new one */
    int target;             /* the init whose container is joined, a pidfd; -1: this is the init */
};

/*
 * Leaves behind what was the launcher's: signals are blocked, every other descriptor is closed, 0, 1 and 2 are
 * /dev/null unless the list has all three (place_descriptors() is then next), the session keyring is a new one; it dies
 * with the launcher. 0, or -1 and the failure.
 */
int birth_settles(const struct birth *birth, struct failure *why);

/* Tells the failure, and ends this process. */
_Noreturn void birth_fails(const struct birth *birth, const struct failure *why);

/* Sends a message to the launcher. It ends this process when that is gone. */
void tell_launcher(int control, struct control_message message);

/* Whether the launcher has died: nobody has the other end of the control socket. */
bool has_hung_up(int control);
