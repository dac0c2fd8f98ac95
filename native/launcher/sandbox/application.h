/* The application's side of the fork. */
#pragma once

#include "birth.h"

/* What the application needs of both lists. */
struct application {
    const struct birth *birth;
    const struct ops *go;
    struct failure why; /* set when exec was not reached */
};

/*
 * Everything that it is, up to exec. Comes back only in failure (`why`). It shares its parent's memory (vfork(2)), so
 * it writes to nothing but its stack and `why`.
 */
void become_application(struct application *application);

/*
 * Moves the descriptors of the go list to their numbers. A number may be another one's source, so all are first lifted
 * above the highest of them.
 */
int place_descriptors(const struct ops *go, struct failure *why);

/*
 * No signal is blocked. Each has its default disposition: the launcher has none handled or ignored (host.c), nor has an
 * init.
 */
int unblock_signals(struct failure *why);

/* Closes all but the descriptors of the go list, 0, 1, 2 and `control` (-1: none). */
int close_rest(const struct ops *go, int control, struct failure *why);
