/* The launcher's state in a form, and back. */
#pragma once

#include "../core/launcher.h"
#include "layouts.h"

/* Writes all of it into a sealed file in memory; gives its descriptor, or -1 and the failure. Nothing is changed. */
int hand_over(const struct launcher *l, const struct outside *outside, struct failure *why);

/*
 * Reads it into a launcher whose tables are empty, and finds every descriptor. 0, or -1 and the failure, after which
 * what was read is of no use. Nothing is done yet.
 */
int take_over(struct launcher *l, struct outside *outside, const void *bytes, size_t size, struct failure *why);
