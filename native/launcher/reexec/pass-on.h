/* What crosses an execve: descriptors that are open in it, and their numbers in its environment. */
#pragma once

#include "../core/launcher.h"
#include "layouts.h"

/* The state, and the socket of a successor that proves itself. */
#define STATE_VARIABLE "NORTHSTATE_STATE_FD"
#define PROOF_VARIABLE "NORTHSTATE_PROOF_FD"

/* Every descriptor that the form of this state names; the list is the caller's to free. NULL and errno. */
int *descriptors_of(const struct launcher *l, const struct outside *outside, size_t *count);
/*
 * Those stay open over execve(2), and the environment names the state and, unless it is -1, the socket. 0, or -1 and
 * errno. pass_nothing takes it back.
 */
int pass_on(const int *fds, size_t count, int state, int socket);
void pass_nothing(const int *fds, size_t count, int state);
