/* The null device of those that the launcher makes. */
#pragma once

#include "../failure.h"

/*
 * A tmpfs with the node `null`: the minimal namespace has no /dev, and each application opens its own /dev/null, so
 * that no two share the flags of an open file. Made once; gives its descriptor. It is mounted, so that every init finds
 * it in its copy of that namespace: of what is mounted nowhere Linux before 6.15 makes no binds.
 */
int null_devices(struct failure *why);

/* That descriptor, to be handed over; -1: it was not made yet. */
int *null_devices_made(void);
