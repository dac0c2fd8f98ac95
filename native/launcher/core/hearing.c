#define _GNU_SOURCE
#include "hearing.h"

#include "requests.h"
#include "telling.h"

/* Does the requests that are there, as long as their answers find room. */
static enum heard handle_frames(struct launcher *l) {
    enum heard heard = HEARD;
    struct frame frame;
    while (out_queued(&l->reconciler.out) < OUTBOX_FULL) {
        enum framed found = inbox_frame(&l->reconciler.in, &frame);
        if (found == FRAMED_NONE) break;
        enum handled handled = found == FRAMED_BAD ? HANDLED_MALFORMED : handle_request(l, &frame);
        if (handled == HANDLED_MALFORMED) return HEARD_MALFORMED;
        if (handled == HANDLED_STOP) heard = HEARD_STOP;
        inbox_drop(&l->reconciler.in, &frame);
    }
    return heard;
}

/* One read per turn: exits come in between. */
enum heard hear_reconciler(struct launcher *l) {
    struct reconciler *r = &l->reconciler;
    flush_queue(r);
    enum heard first = handle_frames(l);
    if (first == HEARD_MALFORMED || out_queued(&r->out) >= OUTBOX_FULL) return first;
    enum received received = inbox_receive(&r->in, r->socket);
    if (received == RECEIVED_END) return first == HEARD ? HEARD_END : first;
    if (received == RECEIVED_BAD) return HEARD_MALFORMED;
    if (received == RECEIVED_SOME) liveness_heard(&l->liveness);
    enum heard second = received == RECEIVED_SOME ? handle_frames(l) : HEARD;
    return second == HEARD ? first : second;
}

/* What is queued is thrown away after each. */
enum heard hear_last_requests(struct launcher *l) {
    struct reconciler *r = &l->reconciler;
    enum heard result = HEARD;
    while (is_connected(l)) {
        r->out.begin = r->out.end = 0;
        enum heard heard = handle_frames(l);
        if (heard == HEARD_STOP) result = heard;
        if (heard == HEARD_MALFORMED) break;
        if (out_queued(&r->out) >= OUTBOX_FULL) continue;
        if (inbox_receive(&r->in, r->socket) != RECEIVED_SOME) break;
    }
    return result;
}
