/* Where the sender of a datagram is, by the control groups that proc(5) shows of it. */
#pragma once

#include <sys/types.h>

enum sender { SENDER_INSIDE, SENDER_ELSEWHERE, SENDER_GONE };

/* Opens the host's /proc while it can be seen. Without it every sender counts as one from elsewhere. */
void open_senders(void);
/* The descriptor that it has for this, to be handed over; -1: none. */
int *senders_proc(void);
/* Whether a process is in the control groups of the container's `init`, or in groups below them. */
enum sender sender_of(pid_t process, pid_t init);
