/* Plays a plan that counts: unit by unit, in its order. */
#pragma once

#include "plan.h"
#include "play-report.h"

/*
 * What a unit needs has been played, and runs, before it is begun; who needs something that was left is left. The
 * first unit is everybody's. Gives NULL, or why nothing was played; what became of each is in the report.
 */
const char *play(const struct plan *plan, struct link *link, const struct boot *boot, struct report *report);
