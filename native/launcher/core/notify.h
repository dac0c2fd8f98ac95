/* The init system, when it asked for it (NOTIFY_SOCKET, sd_notify(3)). */
#pragma once

/* Connects, while the host's paths can still be seen. */
void notify_open(void);
/* Sends a state, `READY=1` for example. */
void notify_init_system(const char *state);
