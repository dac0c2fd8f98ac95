#define _GNU_SOURCE
#include "telling.h"

#include <string.h>
#include <sys/epoll.h>

#include "../sandbox/control.h"
#include "clock.h"
#include "sleep.h"
#include "sources.h"

static const uint64_t NANOSECONDS = 1000000; /* in a millisecond */

bool is_connected(const struct launcher *l) { return l->reconciler.socket >= 0; }

/* To one that has gone nothing more is sent. What it said last is still in the socket, and is read until its end. */
void flush_queue(struct reconciler *r) {
    if (!out_flush(&r->out, r->socket)) r->out.begin = r->out.end = 0;
}

static void send_attempt(struct launcher *l, const struct attempt *a) {
    struct writer w = out_begin(&l->reconciler.out, E_ATTEMPT, 0);
    put_u64(&w, a->id);
    put_text(&w, a->name);
    put_raw(&w, a->hash, HASH_SIZE);
    put_bytes(&w, a->record, a->record_size);
    put_u8(&w, a->state);
    put_u32(&w, (uint32_t)a->init.pid);
    put_u32(&w, (uint32_t)a->application);
    put_u64(&w, a->prepared_ns);
    put_u64(&w, a->started_ns);
    put_u64(&w, a->exited_ns);
    /* Known from the init a little before it is reaped: only then has the container ended. */
    bool ended = a->state == ATTEMPT_EXITED;
    put_u8(&w, (uint8_t)(ended ? a->exit_kind : EXIT_NONE));
    put_u32(&w, ended ? a->exit_value : 0);
    put_u32(&w, a->oom_kills);
    put_u64(&w, a->ring.begin);
    put_u64(&w, a->ring.end);
    put_u16(&w, a->failure.step);
    put_u32(&w, (uint32_t)a->failure.error);
    put_text(&w, a->failure.subject);
    put_u64(&w, a->after);
    put_u8(&w, a->go_state != GO_NONE && a->state < ATTEMPT_RUNNING);
    const struct health *h = &a->health;
    put_u32(&w, h->revision);
    put_u8(&w, h->ready);
    put_u64(&w, h->ready_ns);
    put_u8(&w, h->verdict);
    put_u8(&w, h->says);
    put_text(&w, h->status);
    put_text(&w, h->message);
    out_end(&l->reconciler.out, &w);
    l->reconciler.events_told++;
}

static void send_changed_attempts(struct launcher *l) {
    struct attempts *all = &l->attempts;
    struct outbox *out = &l->reconciler.out;
    uint32_t told = 0;
    while (told < all->changed && out_queued(out) < OUTBOX_FULL) {
        struct attempt *a = attempt_at(all, all->changed_places[told++]);
        a->changed = false;
        send_attempt(l, a);
    }
    all->changed -= told;
    memmove(all->changed_places, all->changed_places + told, all->changed * sizeof all->changed_places[0]);
}

bool telling_waits(struct attempts *all) {
    if (all->fired == 0) return false;
    const struct attempt *a = attempt_find(all, all->fired);
    bool starts = a != NULL && a->state < ATTEMPT_RUNNING;
    if (starts && boottime_now() < all->fired_ns + TELLING_BOUND * NANOSECONDS) return true;
    all->fired = 0;
    return false;
}

bool flush_to_reconciler(struct launcher *l) {
    struct reconciler *r = &l->reconciler;
    if (!is_connected(l)) return true;
    if (!l->sleep.asleep && !telling_waits(&l->attempts)) send_changed_attempts(l);
    if (r->sync_due && l->attempts.changed == 0) {
        r->sync_due = false;
        send_event(l, E_SYNCED, 0, 0);
        if (l->terminating != 0) send_event(l, E_TERMINATE, l->terminating, sizeof l->terminating);
    }
    if (r->out.overrun) return false;
    flush_queue(r);
    uint32_t interest = (out_queued(&r->out) < OUTBOX_FULL ? (uint32_t)EPOLLIN : 0u) |
                        (out_queued(&r->out) > 0 ? (uint32_t)EPOLLOUT : 0u);
    if (interest == r->interest) return true;
    r->interest = interest;
    source_change(l->epoll, r->socket, interest, (struct tag){.source = SOURCE_SOCKET});
    return true;
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
    put_u64(&w, l->sleep.since_ns);
    put_u8(&w, l->sleep.rang);
    put_u64(&w, l->sleep.key);
    put_u32(&w, l->sleep.count);
    put_u32(&w, l->reexec.count);
    r->events_told = 0;
    l->sleep = (struct sleep){.count = l->sleep.count};
    out_end(&r->out, &w);
    w = out_begin(&r->out, E_GLOBAL, 0);
    put_bytes(&w, l->global, l->global_size);
    out_end(&r->out, &w);
    for (uint32_t i = 0; i < l->keeps.end; i++) {
        if (!l->keeps.places[i].taken) continue;
        w = out_begin(&r->out, E_FD, 0);
        put_text(&w, l->keeps.places[i].name);
        put_u32(&w, KEEP_FIRST_NUMBER + i);
        out_end(&r->out, &w);
    }
    attempts_all_changed(&l->attempts);
    r->sync_due = true;
}

void tell_missed(struct launcher *l) {
    if (!l->sleep.asleep) return;
    bool deadline = l->sleep.deadline_rang;
    l->sleep = (struct sleep){.count = l->sleep.count - 1};
    uint64_t key;
    while (watch_missed(&l->watches, &key)) send_event(l, E_WATCH, key, sizeof key);
    if (deadline) send_event(l, E_DEADLINE, 0, 0);
    if (l->terminating != 0) send_event(l, E_TERMINATE, l->terminating, sizeof l->terminating);
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
    l->reconciler.events_told++;
}
void send_output(struct launcher *l, struct attempt *a) {
    if (l->sleep.asleep && l->sleep.output) sleep_rings(l, RANG_OUTPUT, 0);
    if (a->output_told || !is_connected(l) || l->sleep.asleep) return;
    struct writer w = out_begin(&l->reconciler.out, E_OUTPUT, 0);
    put_u64(&w, a->id);
    put_u64(&w, a->ring.begin);
    put_u64(&w, a->ring.end);
    out_end(&l->reconciler.out, &w);
    a->output_told = true;
    l->reconciler.events_told++;
}
