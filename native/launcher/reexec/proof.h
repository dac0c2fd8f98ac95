/*
 * A successor proves itself: a child, executed as `northstate run` of another installation is, is given the state and
 * copies of every descriptor, and says whether it would take over. Nothing that it does, or fails to do, changes
 * anything.
 */
#pragma once

#include "../core/launcher.h"
#include "../core/reply.h"

/* R_PROVE: reads the frame's body. */
enum reply proof_begin(struct launcher *l, struct frame *frame, struct failure *why);
/* R_TAKEOVER: what has proven itself is to be executed. */
enum reply proof_accept(struct launcher *l, struct failure *why);
/* Its socket, or its timer, is ready. */
void handle_proof(struct launcher *l);
void handle_proof_late(struct launcher *l);
/* A child has ended that is to be reaped: whether it was this one, and is reaped. */
bool proof_reaps(struct launcher *l, pid_t pid);
/* Nobody waits for it any more: it ends, and what it has proven does not count. */
void proof_cancel(struct launcher *l);
/* Makes the timer. 0, or -1 and errno. */
int proof_open(struct launcher *l);
