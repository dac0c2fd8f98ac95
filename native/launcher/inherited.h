/* What the launcher was started with and changed for itself: an init and the reconciler get it back. */
#pragma once

/* Raises the soft limits to the hard ones, and the launcher's priority above the containers'. */
void raise_limits(void);
void raise_priority(void);

/* The soft limit of open files that an application starts with: 1024, or the hard limit where that is lower. */
void restore_file_limit(void);

/* The priority that the launcher was started with. */
void restore_priority(void);

/* Notes, once, where the arguments and the environment of this process lie. */
void note_strings(char **arguments);

/*
 * Every process may read the command line of PID 1, and one with CAP_SYS_PTRACE its environment (proc_pid_cmdline(5),
 * proc_pid_environ(5)): an init wipes its copy of the launcher's.
 */
void forget_strings(void);
