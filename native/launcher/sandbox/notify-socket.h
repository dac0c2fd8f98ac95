/* The socket on which a container says how it is (sd_notify(3)): made by its init, read by the launcher. */
#pragma once

#include "birth.h"

/* Makes what NOTIFY asks for, where the container's network namespace is. 0, or -1 and the failure. */
int open_notify(struct birth *birth, struct failure *why);

/*
 * CONTROL_PREPARED, with the socket: the one descriptor that the launcher is ever sent, before anything of it has run.
 */
void tell_prepared(struct birth *birth);
