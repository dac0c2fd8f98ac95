#pragma once

#include "launcher.h"

int loop_open(struct launcher *l);
/* Until everything has ended; gives the exit status. */
int loop_run(struct launcher *l);
