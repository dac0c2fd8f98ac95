/* What the launcher was started with and changed for itself: an init and the reconciler get it back. */
#pragma once

struct inherited {
    int started_priority; /* what the launcher was started with */
    int memory_score;     /* /proc/self/oom_score_adj of the launcher, -1: there is none */
    int own_score;        /* what is in it while nothing is forked */
};

/* To be handed over to another launcher in the place of this one. */
struct inherited *inherited_state(void);

/* Raises the soft limits to the hard ones, and the launcher's priority above the containers'. */
void raise_limits(void);
void raise_priority(void);

/* The soft limit of open files that an application starts with: 1024, or the hard limit where that is lower. */
void restore_file_limit(void);

/* The priority that the launcher was started with: the reconciler's. */
void restore_priority(void);

/* A child in a session of its own keeps the raised one, and finds in this variable what it is to go back to. */
void keep_priority(const char *variable);

/*
 * A container's processes are scheduled as any program is, whatever the launcher was started with: nice 0, SCHED_OTHER,
 * every processor, no class of I/O. What its manifest says comes on top of that.
 */
void set_plain_scheduling(void);

/*
 * The launcher and the reconciler are the last that the kernel kills for want of memory, where they may be
 * (CAP_SYS_RESOURCE); a container's processes have a score of their own (proc(5), oom_score_adj). A child has its
 * parent's at the fork: between expose and protect, that one. Open while the host's /proc can still be seen. expose
 * gives 0, or -1 and errno: EACCES when the score is lower than this process may set.
 */
void open_memory_score(void);
int expose_to_memory_killer(int score);
void protect_from_memory_killer(void);
/* In a child that is no launcher: what it makes has the score that it has itself. */
void forget_memory_score(void);

/* What a core dump holds is the kernel's default, for all that is started (core(5)). */
void reset_core_filter(void);

/* Notes, once, where the arguments and the environment of this process lie. */
void note_strings(char **arguments);
/* Where they begin: no stack of a function lies above. */
const char *noted_strings(void);

/*
 * Every process may read the command line of PID 1, and one with CAP_SYS_PTRACE its environment (proc_pid_cmdline(5),
 * proc_pid_environ(5)): an init wipes its copy of the launcher's, and has `title` for its command line instead, as much
 * of it as the launcher's has room for.
 */
void replace_strings(const char *title);
