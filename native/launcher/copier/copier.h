/*
 * Copying and measuring a tree that a container has written: everything in it is hostile. Each name is opened in the
 * directory that it was read from, never followed, never into another mount; nothing in it is executed or understood.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

struct copier {
    uint64_t bytes, entries;           /* so far */
    uint64_t most_bytes, most_entries; /* what there may be */
    dev_t device;                      /* all of it is on */
    int links;           /* a directory: a name for each inode that has several; -1 = it is measured only */
    const char *step;    /* what has failed, on which name; errno says why */
    const char *exceeds; /* which bound, NULL = none */
    char name[256];
};

/* `copy-tree` and `measure-tree`, behind the program's name. Gives the exit status. */
int copier_main(char **argv);

/* What is in one open directory goes into another; `to` is not looked at when it is measured. 0, or -1. */
int copy_directory(struct copier *c, int from, int to, unsigned depth);

/* Owner, attributes, mode and times. `name` may be "." for the directory itself. 0, or -1. */
int copy_metadata(struct copier *c, int from, int to, const char *name, const struct stat *is);

/* The data of one regular file, its holes left out. 0, or -1. */
int copy_file(struct copier *c, int from, int to, const char *name, const struct stat *is);

/* The flags of chattr(1) that hinder nobody, so far as the file system has them; `out` is empty. */
void copy_flags(int in, int out);

/* Notes what has failed; errno stays. Gives -1. */
int copier_failed(struct copier *c, const char *step, const char *name);

/* Counts bytes. 0, or -1 when there are too many. */
int count_bytes(struct copier *c, uint64_t bytes);

/* Opens what has a name in a directory, or nothing. */
int open_beneath(int directory, const char *name, int flags);

/* Leaves the calling process what copying takes, and nothing else. 0, or -1 and errno. */
int confine_copier(void);
