/* What there is in a container, as its application would find it. */
#pragma once

#include "../failure.h"
#include "op.h"

/* Nothing is opened: a path is looked up, or a connection to a socket is begun. 0, or -1 and the failure. */
int look_for(const struct op_look *look, struct failure *why);
