#pragma once

#include "birth.h"

/* Brings lo up in a network namespace that was made for this container (netdevice(7)): 0, or -1 and why. */
int raise_loopback(const struct birth *birth, struct failure *why);
