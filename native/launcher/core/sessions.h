/* What the reconciler asks of sessions, and what becomes of them. */
#pragma once

#include "launcher.h"
#include "reply.h"

/* R_JOIN: reads the frame's body. */
enum reply session_join(struct launcher *l, struct frame *frame, struct failure *why);
/* R_SIGNAL: to the process group of the session; SIGKILL ends it. */
enum reply session_signal(struct launcher *l, uint64_t id, uint32_t number, struct failure *why);
/* Its control socket has something. */
void handle_session(struct launcher *l, uint32_t place, uint32_t life);
/* A child has ended that is to be reaped: whether it was one of a session, and is reaped. */
bool session_reaps(struct launcher *l, pid_t pid);
/*
 * Kills those in the container of this attempt; whether there are any: the last to be reaped lets go who waits for it.
 */
bool sessions_end_of(struct launcher *l, uint64_t attempt);
/* Kills all of them, and tells nobody. */
void sessions_end_all(struct launcher *l);
