/*
 * The host before the loop begins: checks, resets, locks. Each says on stderr what is wrong; those that give a number
 * give -1.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>

/* Whether SIGHUP would come from a terminal that goes (termios(3)); else somebody sends it. */
bool has_terminal(void);
/* Linux 5.10, and every system call that is needed. */
int check_kernel(void);
/* Descriptors, signals, limits, priority, umask; subreaper. Gives the signals that are blocked and handled. */
int reset_process(sigset_t *handled);
/* From this number on no descriptor is taken for a request: what is left is for those on their way in. */
int find_descriptor_bound(void);
/* nowhere: there is no such directory, and none can be made on a disk that is read-only. */
enum locked { LOCK_TAKEN, LOCK_NOWHERE, LOCK_REFUSED };
/*
 * Creates the directory if need be and locks it for the life of the process (flock(2)); DIR/.lock holds our pid where
 * it can be written.
 */
enum locked lock_directory(const char *directory);
