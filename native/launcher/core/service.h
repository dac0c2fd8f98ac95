/*
 * What a service tells its init system while it runs: that it lives, what it waits for, that it reads everything
 * anew, and that an orderly end takes its time.
 */
#pragma once

#include "launcher.h"

/* Makes the timer and, where the init system watches us (WATCHDOG_USEC), sets it. 0, or -1 and errno. */
int service_open(struct launcher *l);
/* The reconciler has adopted what runs: told the first time, and after each service_reloading. */
void service_ready(struct launcher *l);
/* What the reconciler says of itself, at most STATUS_LIMIT bytes without a control character. */
void service_status(struct launcher *l, const char *text);
void service_reloading(struct launcher *l);
/* Tells once, however often it is called. */
void service_stopping(struct launcher *l);
/* The timer's turn. */
void handle_service(struct launcher *l);
