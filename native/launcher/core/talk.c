#define _GNU_SOURCE
#include <sys/epoll.h>

#include "launcher.h"

bool is_connected(const struct launcher *l) { return l->reconciler.socket >= 0; }

static size_t queued(const struct outbox *out) { return out->end - out->begin; }

/* To one that has gone nothing more is sent. What it said last is still in the socket, and is read until its end. */
static void flush_queue(struct reconciler *r) {
    if (!out_flush(&r->out, r->socket)) r->out.begin = r->out.end = 0;
}

/* Does the requests that are there, as long as their answers find room. False when one is malformed. */
static bool handle_frames(struct launcher *l) {
    struct frame frame;
    while (is_connected(l) && queued(&l->reconciler.out) < OUTBOX_FULL) {
        enum framed found = inbox_frame(&l->reconciler.in, &frame);
        if (found == FRAMED_NONE) return true;
        if (found == FRAMED_BAD || !handle_request(l, &frame)) return false;
        inbox_drop(&l->reconciler.in, &frame);
    }
    return true;
}

/* One read per turn: exits come in between. */
void handle_socket(struct launcher *l) {
    struct reconciler *r = &l->reconciler;
    if (!is_connected(l)) return;
    flush_queue(r);
    bool sound = handle_frames(l);
    if (sound && queued(&r->out) < OUTBOX_FULL) {
        switch (inbox_receive(&r->in, r->socket)) {
        case RECEIVED_SOME:
            sound = handle_frames(l);
            break;
        case RECEIVED_NOTHING:
            break;
        case RECEIVED_END:
            /* Mostly it has died; then this says no more than its pidfd does. */
            handle_reconciler_exit(l);
            if (is_connected(l)) end_reconciler(l, "it closed its socket");
            return;
        case RECEIVED_BAD:
            sound = false;
            break;
        }
    }
    if (!sound) end_reconciler(l, "a malformed frame");
}

/* Nobody hears the answers: what is queued is thrown away after each. */
void handle_last_requests(struct launcher *l) {
    struct reconciler *r = &l->reconciler;
    while (is_connected(l)) {
        r->out.begin = r->out.end = 0;
        if (!handle_frames(l)) return;
        if (queued(&r->out) >= OUTBOX_FULL) continue;
        if (inbox_receive(&r->in, r->socket) != RECEIVED_SOME) return;
    }
}

void flush_to_reconciler(struct launcher *l) {
    struct reconciler *r = &l->reconciler;
    if (!is_connected(l)) return;
    send_changed_attempts(l);
    if (r->sync_due && l->attempts.changed == 0) {
        r->sync_due = false;
        send_event(l, E_SYNCED, 0, 0);
        if (l->terminating != 0) send_event(l, E_TERMINATE, l->terminating, sizeof l->terminating);
    }
    if (r->out.overrun) {
        end_reconciler(l, "it does not read its events");
        return;
    }
    flush_queue(r);
    uint32_t interest =
        (queued(&r->out) < OUTBOX_FULL ? (uint32_t)EPOLLIN : 0u) | (queued(&r->out) > 0 ? (uint32_t)EPOLLOUT : 0u);
    if (interest == r->interest) return;
    r->interest = interest;
    loop_change(l->epoll, r->socket, interest, SOURCE_SOCKET, 0, 0);
}

void send_greeting(struct launcher *l) {
    struct reconciler *r = &l->reconciler;
    if (!is_connected(l)) return;
    struct writer w = out_begin(&r->out, E_HELLO, 0);
    put_u32(&w, WIRE_VERSION);
    put_u32(&w, (uint32_t)l->pid);
    put_u32(&w, r->starts);
    put_u64(&w, r->generation);
    put_u32(&w, r->deaths);
    put_u64(&w, l->started_ns);
    put_u8(&w, l->terminating != 0);
    out_end(&r->out, &w);
    w = out_begin(&r->out, E_GLOBAL, 0);
    put_bytes(&w, l->global, l->global_size);
    out_end(&r->out, &w);
    for (uint32_t i = 0; i < l->keeps_end; i++) {
        if (!l->keeps[i].taken) continue;
        w = out_begin(&r->out, E_FD, 0);
        put_text(&w, l->keeps[i].name);
        put_u32(&w, KEEP_FIRST_NUMBER + i);
        out_end(&r->out, &w);
    }
    attempts_all_changed(l);
    r->sync_due = true;
}

void send_result(struct launcher *l, uint32_t serial, const struct failure *why) {
    if (serial == 0 || !is_connected(l)) return;
    struct writer w = out_begin(&l->reconciler.out, E_RESULT, serial);
    put_u16(&w, why == NULL ? 0 : why->step);
    put_u32(&w, why == NULL ? 0 : (uint32_t)why->error);
    put_text(&w, why == NULL ? "" : why->subject);
    out_end(&l->reconciler.out, &w);
}

void send_event(struct launcher *l, uint16_t type, uint64_t value, size_t width) {
    if (!is_connected(l)) return;
    struct writer w = out_begin(&l->reconciler.out, type, 0);
    if (width == sizeof(uint32_t)) put_u32(&w, (uint32_t)value);
    if (width == sizeof(uint64_t)) put_u64(&w, value);
    out_end(&l->reconciler.out, &w);
}
