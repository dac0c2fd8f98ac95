/* What the configuration says, as a start before this one has summed it up (src/config/summary.ts). */
#pragma once

#include <limits.h>
#include <stdbool.h>

#include "conditions.h"

/* The settings of the command line: the launcher gives us the reconciler's. "" is not given. */
struct settings {
    bool named; /* the file */
    char config[PATH_MAX + 1];
    char desired[PATH_MAX + 1];
    char state_dir[PATH_MAX + 1];
};

/*
 * The directories that the configuration names; false where there is no summary of exactly this one, or where it says
 * that no plan is to be played: nobody has signed one.
 */
bool find_places(const struct settings *settings, struct places *places);
