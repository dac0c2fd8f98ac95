/* Inside of the new namespaces: groups, host name, mounts, the new root. */
#pragma once

#include "birth.h"

/* The init's ops of the prepare list. 0, or -1 and the failure. */
int enter_sandbox(const struct birth *birth, struct failure *why);
