/* Frames to the reconciler. */
#pragma once

#include "../failure.h"
#include "launcher.h"
#include "messages.h"

enum { TELLING_BOUND = 5 }; /* ms that a change may wait to be told */

/* Somebody listens. */
bool is_connected(const struct launcher *l);
/*
 * What has changed is told a little later: the reconciler has much to do then, and the next instance that has just been
 * let go would wait for its processor.
 */
bool telling_waits(struct attempts *all);
/* Sends what has changed and what is queued. False when it does not read its events and has lost track. */
bool flush_to_reconciler(struct launcher *l);
/* Sends of what is queued as much as the socket takes. */
void flush_queue(struct reconciler *r);
/* Queues everything that a new reconciler must know, E_SYNCED last. */
void send_greeting(struct launcher *l);
/* It has said something though it was asleep: so it is awake, and what rang meanwhile is told. */
void tell_missed(struct launcher *l);
/* `why` NULL: it went well. Serial 0: nobody waits. */
void send_result(struct launcher *l, uint32_t serial, const struct failure *why);
/* An event without fields, or with one of the given width. Dropped when no reconciler listens: it asks anew. */
void send_event(struct launcher *l, uint16_t type, uint64_t value, size_t width);
/* E_OUTPUT, once until the next R_READ. */
void send_output(struct launcher *l, struct attempt *a);
