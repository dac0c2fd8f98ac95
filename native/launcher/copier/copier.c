/*
 * The copier: `copy-tree BYTES ENTRIES SECONDS PARENT` copies the directory at descriptor 3 into the empty one at 4 (5:
 * an empty one beside it, for hard links), `measure-tree` only counts. It says `BYTES ENTRIES`, or what has kept it
 * from it; exit status 0, 2 when a bound is exceeded, 1 otherwise. SIGALRM ends one that takes too long.
 */
#define _GNU_SOURCE
#include "copier.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SOURCE = 3, TARGET = 4, LINKS = 5 };

/* 0 when it is no number. */
static uint64_t number_of(const char *text) {
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0' ? value : 0;
}

static int count_arguments(char **argv) {
    int count = 0;
    while (argv[count] != NULL) count++;
    return count;
}

static int copy_all(struct copier *c) {
    struct stat is;
    if (fstat(SOURCE, &is) != 0) return copier_failed(c, "stat", ".");
    c->device = is.st_dev;
    /* The walk closes what it reads, and its place is its own. */
    int from = openat(SOURCE, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (from < 0) return copier_failed(c, "open", ".");
    if (c->links >= 0) copy_flags(from, TARGET);
    if (copy_directory(c, from, TARGET, 0) != 0) return -1;
    if (c->links < 0) return 0;
    if (copy_metadata(c, SOURCE, TARGET, ".", &is) != 0) return -1;
    return syncfs(TARGET) == 0 ? 0 : copier_failed(c, "syncfs", ".");
}

int copier_main(char **argv) {
    bool copies = strcmp(argv[0], "copy-tree") == 0;
    if (count_arguments(argv) != 5) {
        fprintf(stderr, "usage: northstate-launcher copy-tree|measure-tree BYTES ENTRIES SECONDS PARENT\n");
        return 64;
    }
    struct copier c = {
        .most_bytes = number_of(argv[1]), .most_entries = number_of(argv[2]), .links = copies ? LINKS : -1};
    unsigned seconds = (unsigned)number_of(argv[3]);
    alarm(seconds == 0 ? 1 : seconds);
    umask(0);
    int result = confine_copier();
    if (result != 0) copier_failed(&c, "confine", ".");
    /* Whoever has started it may have died before it could be told so. */
    else if (getppid() != (pid_t)number_of(argv[4]))
        return 1;
    else
        result = copy_all(&c);
    if (result == 0)
        printf("%" PRIu64 " %" PRIu64 "\n", c.bytes, c.entries);
    else if (c.exceeds != NULL)
        printf("%s %" PRIu64 " %" PRIu64 "\n", c.exceeds, c.bytes, c.entries);
    else
        printf("%d %s %s\n", errno, c.step, c.name);
    fflush(stdout);
    return result == 0 ? 0 : c.exceeds != NULL ? 2 : 1;
}
