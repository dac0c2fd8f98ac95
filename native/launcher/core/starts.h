/* What the reconciler asks of an attempt. */
#pragma once

#include "../failure.h"
#include "launcher.h"
#include "reply.h"

/* These two read the frame's body. */
enum reply attempt_prepare(struct launcher *l, struct frame *frame, struct failure *why);
enum reply attempt_go(struct launcher *l, struct frame *frame, struct failure *why);
enum reply attempt_kill(struct launcher *l, uint64_t id, uint32_t signal, struct failure *why);
enum reply attempt_forget(struct launcher *l, uint64_t id, uint32_t serial, struct failure *why);
/* Fires the gos that wait for this attempt. */
void attempts_fire_after(struct attempts *all, uint64_t id);
/* From now on the loop hears of its init: of its end, of what it says, and of its output. */
int attempt_watch(const struct launcher *l, const struct attempt *a);
/* The go that waits, if any, is off. */
void attempt_cancel_go(struct attempts *all, struct attempt *a);
