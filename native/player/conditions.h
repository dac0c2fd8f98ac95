/* Under which conditions a plan counts. */
#pragma once

#include "plan.h"

/* Where things are, as the summary of the configuration says. */
struct places {
    char config[PATH_MAX + 1];
    char state_dir[PATH_MAX + 1];
    char run_dir[PATH_MAX + 1];
    char desired[PATH_MAX + 1];
    struct span source; /* what the summary begins with: version, file, its bytes, options */
};

/* The first condition that does not hold, as "condition: what is wrong" in `why`; false when all do. */
bool is_void(const struct plan *plan, const struct places *places, char *why, size_t size);
/*
 * That this path, and every directory on the way to it, links included, belongs to root and is writable by nobody else.
 * What is not there need not be. False, and the component in `why`.
 */
bool is_trusted(const char *path, char *why, size_t size);
/* A whole regular file of at most `limit` bytes, which the caller frees; NULL and errno. */
uint8_t *read_whole(const char *path, size_t limit, size_t *size);
