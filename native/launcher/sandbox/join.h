/* A further process of a container that runs: how it is made, the sandbox's other door for the core. */
#pragma once

#include "birth.h"
#include "launch.h"

/*
 * Makes the process that joins the container of `target` and either executes a program in it or copies a file. It does
 * not wait: who joins sends CONTROL_BORN from within the PID namespace, whose end of `control` then closes when exec is
 * reached, or CONTROL_RUNNING when it has the file that is to be copied; CONTROL_FAILURE else. `control` is our end,
 * to be read without waiting; each message comes with its sender's credentials. Gives the process id of a child of
 * ours, which is the one that copies, and ends early when a program is executed: that one is a child of ours as well.
 * -1 with the failure, and nothing left behind; EMFILE when it would take descriptors from `bound` on.
 *
 * `list` lies in memory that it inherits (memory.h). The descriptors stay the caller's.
 */
pid_t launch_join(const struct init *target, struct ops *list, int bound, int *control, struct failure *why);

/* What launch_join needs of the launcher, for a child of it that makes them: null_devices(). -1 with the failure. */
int join_devices(struct failure *why);
