/* The directories that are ours alone, by locks (flock(2)) that live as long as this process. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "../failure.h"

/* stateDir and runDir. */
enum { LOCK_LIMIT = 2 };

struct held {
    dev_t device;
    ino_t inode;
    int parent;
    int note; /* -1: none */
};

struct locks {
    struct held held[LOCK_LIMIT];
    size_t count;
};

/* nowhere: there is no such directory, and none can be made on a disk that is read-only. */
enum locked { LOCK_TAKEN, LOCK_NOWHERE, LOCK_REFUSED };
/*
 * Creates the directory if need be and locks it; DIR/.lock holds our process id where it can be written. Says on stderr
 * what is wrong.
 */
enum locked lock_directory(struct locks *locks, const char *directory);

enum { LOCK_HELD = 0, LOCK_NEW = 1 };
/*
 * The same for one that is open, with its note (-1: it has none). LOCK_NEW: both descriptors are the lock's from now
 * on; LOCK_HELD: it is ours already; -1 and the failure, which names who has it.
 */
int lock_opened(struct locks *locks, const char *directory, int parent, int note, struct failure *why);
