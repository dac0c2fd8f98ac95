/* What the kernel and the init say of an attempt. */
#pragma once

#include "launcher.h"

void handle_init_exit(struct launcher *l, struct attempt *a);
void handle_control(struct launcher *l, struct attempt *a);
