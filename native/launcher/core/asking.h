/* The prober, as the launcher has it: a child that asks for it, started with the first probe. */
#pragma once

#include "../probe.h"
#include "launcher.h"

/* Has the prober ask. `list` is how it joins the container, with the frame's descriptors. 0, or -1 and the failure. */
int prober_set(struct launcher *l, const struct probe_order *order, int pidfd, struct span list,
               const struct frame *frame, struct failure *why);
/* What was held begins. */
void prober_begin(struct launcher *l, uint64_t attempt);
/* Nothing is asked of this attempt any more. */
void prober_drop(struct launcher *l, uint64_t attempt);
/* What it says next; false when there is nothing, or it has closed its end. */
bool prober_says(struct launcher *l, struct probe_verdict *verdict);
/* A child has ended that is to be reaped: whether it was the prober, and is reaped. */
bool prober_reaps(struct launcher *l, pid_t pid);
