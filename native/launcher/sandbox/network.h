#pragma once

#include "birth.h"

/*
 * The network namespace of a container that is to have its own: it is entered, or is there, and lo is up. 0, or -1 and
 * why.
 */
int enter_network(const struct birth *birth, struct failure *why);

/* Brings lo up in the network namespace of this process (netdevice(7)). 0, or -1 and why. */
int raise_loopback(struct failure *why);
