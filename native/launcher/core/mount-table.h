/* A mount table as /proc/PID/mountinfo has it (proc_pid_mountinfo(5)). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* One mount, by places in the text that it was read from, each of which ends at a blank; `path` is still escaped. */
struct mount_line {
    const char *id;
    const char *device; /* MAJOR:MINOR */
    const char *path;
    bool shared; /* what is mounted below it reaches copies of this mount */
};

/*
 * The whole table of an open mountinfo, from its beginning, in memory that no fork copies unless it is lent; NULL and
 * errno when it cannot be had: ENOMEM for one of more than ten thousand mounts.
 */
char *read_mount_table(int fd);
/* A child works on it, or does no longer (dontfork_lend). */
int lend_mount_table(char *table, bool lent);
/* NULL is none. */
void free_mount_table(char *table);

/* Reads the line at *at and moves on to the next one; false at the end, and for what is no line. */
bool next_mount(const char **at, struct mount_line *line);

/* Whether both texts of the table say the same up to a blank. */
bool same_word(const char *a, const char *b);

/* The path in the clear. False when it is longer than there is room. */
bool mount_path(const char *escaped, char *path, size_t room);
