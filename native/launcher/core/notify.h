/* The init system, when it asked for it (NOTIFY_SOCKET, sd_notify(3)). */
#pragma once

/* Connects, while the host's paths can still be seen. */
void notify_open(void);
/* The descriptor that it is connected with, to be handed over; -1: nobody asked. */
int *notify_descriptor(void);
/* Sends a state, `READY=1` for example; several are lines. One that is longer than 1 KiB is cut. */
__attribute__((format(printf, 1, 2))) void notify_init_system(const char *format, ...);
