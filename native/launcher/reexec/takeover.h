/* The end of this program, and no end of this process: what has proven itself is executed in its place. */
#pragma once

#include "../core/launcher.h"

/* Once R_TAKEOVER was accepted: the reconciler is ended, and then this does not come back unless it fails. */
void takeover_turn(struct launcher *l);
