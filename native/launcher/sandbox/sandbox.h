/* What the init and the application do, in their own processes: nothing here runs in the launcher. */
#pragma once

#include "../launch.h"
#include "ops.h"

/* What a new init starts with. All else that it inherited is closed first. */
struct birth {
    struct ops *prepare;
    int control;   /* its end of the control socket */
    int output[2]; /* write ends of the application's stdout and stderr, -1: /dev/null */
    int devices;   /* a tmpfs that holds the node `null` */
    int proc;      /* a proc of the new PID namespace that is mounted nowhere, -1 when LABEL is not in the list */
};

/* The life of an init, from clone3 to its exit. */
_Noreturn void init_main(struct birth *birth);

/* More descriptors than any list brings, and those that the init and the application have besides. */
enum { KEPT_LIMIT = FRAME_FDS + 8 };

/* Descriptors that stay open, in order. */
struct kept {
    int fds[KEPT_LIMIT];
    size_t count;
};

/* Adds one unless it is -1 or there already. */
void keep_descriptor(struct kept *kept, int fd);

/* Closes every other descriptor of this process. 0, or -1 and errno. */
int close_others(const struct kept *kept);

/* Closes what a descriptor variable holds when its scope ends, unless that is -1. */
void close_descriptor(const int *fd);
#define cleanup_close __attribute__((cleanup(close_descriptor)))

/*
 * Opens a path (O_PATH and the like) as if the working directory were the root: neither `..` nor a link leads out of it
 * (openat2(2), RESOLVE_IN_ROOT). -1 and errno.
 */
int resolve_in_root(const char *path, uint64_t flags);

/*
 * Hides what is at a path of the new root: a directory behind an empty one, a file behind the null device. Nothing is
 * done where nothing is.
 */
int mask_path(const struct op *op, struct failure *why);

/*
 * Opens a proc of this PID namespace for set_label, mounted nowhere, -1 when the list has no LABEL. The new root may
 * have none, and one that it has is not to be trusted: a container's own.
 */
int open_proc(const struct ops *prepare, int *proc, struct failure *why);

/* The program that is executed next gets the SELinux context of LABEL (proc_pid_attr(5)). */
int set_label(const struct op *op, int proc, struct failure *why);

/* The init's ops of the prepare list, in order: cgroups, host name, mounts, new root. */
int enter_sandbox(const struct birth *birth, struct failure *why);

/* What the application needs of both lists. */
struct application {
    const struct birth *birth;
    const struct ops *go;
    struct failure why; /* set when exec was not reached */
};

/*
 * The application's side of the fork: everything that it is, up to exec. Comes back only in failure (`why`). It shares
 * its parent's memory (vfork(2)), so it writes to nothing but its stack and `why`.
 */
void become_application(struct application *application);

/* Whether a capability is in the permitted set of the calling thread. */
bool has_capability(unsigned capability);

/* Leaves one capability in the permitted and effective sets, none in the inheritable one. 0, or -1 and errno. */
int keep_capability(unsigned capability);

/* Becomes the user, group and groups of IDS. The capabilities go with uid 0 unless PR_SET_KEEPCAPS is set. */
int change_ids(const struct op *op, struct failure *why);

/* Takes every capability but those in `keep` out of the bounding set; one that is gone already is no failure. */
int drop_bounding(uint64_t keep, struct failure *why);

/* Sets what CAPABILITIES asks for, the bounding set excepted. A right that the launcher lacks itself is a failure. */
int set_capabilities(const struct op *op, struct failure *why);
