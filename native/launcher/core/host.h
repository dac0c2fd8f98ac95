/*
 * The host before the loop begins: checks, resets. Each says on stderr what is wrong; those that give a number
 * give -1.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>

/* Whether SIGHUP would come from a terminal that goes (termios(3)); else somebody sends it. */
bool has_terminal(void);
/* Linux 5.10, and every system call that is needed. */
int check_kernel(void);
/* We are root. */
int check_root(void);
/* Blocks the signals that are handled, which are given, and SIGPIPE. */
void block_signals(sigset_t *handled);
/* Descriptors, signals, limits, priority, umask; subreaper. Gives the signals that are blocked and handled. */
int reset_process(sigset_t *handled);
/* From this number on no descriptor is taken for a request: what is left is for those on their way in. */
int find_descriptor_bound(void);
