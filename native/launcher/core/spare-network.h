/*
 * A network namespace for the next start: the kernel takes a quarter of a millisecond to make one, a third of a whole
 * start. One is made by a child once something runs, and goes a little later: what is at rest keeps none, and no start
 * has settings of the host (sysctl) that are older than that.
 */
#pragma once

#include "launcher.h"

/* A descriptor of one that nobody has used, which the caller closes; -1: there is none. */
int spare_network_take(const struct launcher *l);
/* One is of use soon: it is made, unless there is one, or somebody is starting just now and needs the processor. */
void spare_network_want(const struct launcher *l);
/* What it waits for. */
void handle_spare_network(const struct launcher *l);
