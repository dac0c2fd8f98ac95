/* How the containers are: what they say, what the prober finds, and what must come in time. */
#pragma once

#include "launcher.h"
#include "reply.h"

/* R_HEALTH: reads the frame's body. */
enum reply health_set(struct launcher *l, struct frame *frame, struct failure *why);
/* The socket on which it will say how it is, as its init has made it. */
void health_take(struct attempt *a, int fd);
/*
 * It runs, and is heard from now on: what it has said before its init told that it runs has waited in the socket. 0, or
 * -1 and errno.
 */
int health_listen(struct launcher *l, const struct attempt *a);
/* It has said something. */
void handle_notify(struct launcher *l, struct attempt *a);
/* Something should have come by now. */
void handle_health(struct launcher *l);
/* The prober says something. */
void handle_prober(struct launcher *l);
/* The attempt is over: nobody asks or hears it any more. */
void health_end(struct launcher *l, struct attempt *a);
/* The prober has died: the reconciler asks for the probes anew. */
void health_lost(struct launcher *l);
/* One that was handed over: what it must say in time is waited for. */
void health_resume(struct launcher *l, const struct attempt *a);
