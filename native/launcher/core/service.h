/* What a service tells its init system while it runs: that it lives, and that an orderly end takes its time. */
#pragma once

#include "launcher.h"

/* Makes the timer and, where the init system watches us (WATCHDOG_USEC), sets it. 0, or -1 and errno. */
int service_open(struct launcher *l);
/* Both tell once, however often they are called. */
void service_ready(struct launcher *l);
void service_stopping(struct launcher *l);
/* The timer's turn. */
void handle_service(struct launcher *l);
