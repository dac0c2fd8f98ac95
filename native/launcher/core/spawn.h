#pragma once

#include "launcher.h"

enum spawned {
    SPAWNED,
    SPAWN_FAILED,   /* errno; there is no process */
    SPAWN_UNWATCHED /* there is one, which cannot be watched */
};

/* A new reconciler process at the other end of a new socket pair. */
enum spawned spawn_reconciler(struct launcher *l);
