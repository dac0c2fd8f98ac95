/* A launcher that was handed a state, to prove itself with or to go on from. */
#pragma once

#include "../core/launcher.h"

/* The descriptor of the state that this process was handed, and forgets that it was; -1: none. */
int handed_state(void);
/*
 * Goes on from it, or proves that it could. `command` is our own command line. The tables of `l` are empty, its
 * reconciler's command is set. Gives the exit status.
 */
int succeed(struct launcher *l, int state, char **command);
