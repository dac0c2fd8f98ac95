/*
 * Where the host's root is mounted private, what it mounts later does not reach the reconciler's namespace by itself
 * (mount_namespaces(7)): it is brought there, and taken away again.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct arrivals {
    int table;   /* the host's mountinfo; -1: nothing has to be brought */
    int host;    /* the host's mount namespace */
    char *known; /* the table as it was when it was last followed */
    pid_t child; /* who is at it; 0: nobody */
    bool due;    /* the table has changed meanwhile */
};

/* To be called in the host's namespace, before that of the reconciler is made of it. What goes wrong is said. */
void arrivals_open(struct arrivals *arrivals);

/* Follows the table from now on. 0, or -1 and errno. */
int arrivals_watch(struct arrivals *arrivals, int epoll);

/* The table has changed. `reconciler` is that one's namespace. */
void arrivals_follow(struct arrivals *arrivals, int reconciler);

/* A child has ended, which must be reaped; whether it was this one's. */
bool arrivals_reap(struct arrivals *arrivals, int reconciler, pid_t pid);
