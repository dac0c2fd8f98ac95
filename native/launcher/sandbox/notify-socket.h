/* The socket on which a container says how it is (sd_notify(3)): made by its init, read by the launcher. */
#pragma once

#include "birth.h"

/*
 * CONTROL_PREPARED, with the socket: the one descriptor that the launcher is ever sent, before anything of it has run.
 */
void tell_prepared(struct birth *birth);
