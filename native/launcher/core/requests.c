#define _GNU_SOURCE
#include "requests.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "../reexec/proof.h"
#include "../reexec/proving.h"
#include "health.h"
#include "messages.h"
#include "service.h"
#include "sessions.h"
#include "sleep.h"
#include "starts.h"
#include "telling.h"
#include "timers.h"

/* A `fd` field: the descriptor, which stays the frame's; the cursor fails on an index beyond the frame's. */
static int *take_fd(struct cursor *c, struct frame *frame) {
    uint16_t index = take_u16(c);
    if (c->failed || index >= frame->nfds || frame->fds[index] < 0) {
        c->failed = true;
        return NULL;
    }
    return &frame->fds[index];
}

/* A name into `name` (NAME_LIMIT + 1 bytes), or none; the cursor fails on one that is too long. */
static void take_name_or_none(struct cursor *c, char *name) {
    struct span text = take_text(c);
    if (text.size > NAME_LIMIT) c->failed = true;
    uint32_t size = c->failed ? 0 : text.size;
    if (size > 0) memcpy(name, text.data, size);
    name[size] = '\0';
}

/* The same; the cursor fails on none, too. */
static void take_name(struct cursor *c, char *name) {
    take_name_or_none(c, name);
    if (name[0] == '\0') c->failed = true;
}

static enum reply keep_record(struct launcher *l, struct cursor *c, struct failure *why) {
    uint64_t id = take_u64(c);
    struct span record = take_bytes(c);
    if (!cursor_finished(c) || record.size > RECORD_LIMIT) return REPLY_MALFORMED;
    struct attempt *a = attempt_find(&l->attempts, id);
    if (id != 0 && a == NULL) {
        fail(why, STEP_ATTEMPT, ENOENT, "attempt %llu", (unsigned long long)id);
        return REPLY_FAILED;
    }
    uint8_t *place = id == 0 ? l->global : a->record;
    if (record.size > 0) memcpy(place, record.data, record.size);
    *(id == 0 ? &l->global_size : &a->record_size) = record.size;
    return REPLY_DONE;
}

static enum reply set_watch(struct launcher *l, struct cursor *c, struct frame *frame, struct failure *why) {
    uint64_t key = take_u64(c);
    uint8_t kind = take_u8(c);
    int *fd = take_fd(c, frame);
    if (!cursor_finished(c) || kind < WATCH_PRIORITY || kind > WATCH_WRITABLE) return REPLY_MALFORMED;
    if (watch_set(&l->watches, key, kind, *fd, why) != 0) return REPLY_FAILED;
    *fd = -1;
    return REPLY_DONE;
}

static enum reply set_keep(struct launcher *l, struct cursor *c, struct frame *frame, struct failure *why) {
    char name[NAME_LIMIT + 1];
    take_name(c, name);
    int *fd = take_fd(c, frame);
    if (!cursor_finished(c)) return REPLY_MALFORMED;
    if (keep_set(&l->keeps, name, *fd, why) != 0) return REPLY_FAILED;
    *fd = -1;
    return REPLY_DONE;
}

static enum reply drop_keep(struct launcher *l, struct cursor *c) {
    char name[NAME_LIMIT + 1];
    take_name(c, name);
    if (!cursor_finished(c)) return REPLY_MALFORMED;
    keep_drop(&l->keeps, name);
    return REPLY_DONE;
}

static enum reply accept_connection(struct launcher *l, struct cursor *c, struct frame *frame, struct failure *why) {
    char listener[NAME_LIMIT + 1];
    char name[NAME_LIMIT + 1];
    take_name(c, listener);
    take_name_or_none(c, name);
    const int *to = take_fd(c, frame);
    if (!cursor_finished(c)) return REPLY_MALFORMED;
    return keep_accept(&l->keeps, listener, name, *to, why) == 0 ? REPLY_DONE : REPLY_FAILED;
}

static enum reply read_output(struct launcher *l, struct cursor *c, uint32_t serial, struct failure *why) {
    uint64_t id = take_u64(c);
    uint64_t offset = take_u64(c);
    uint32_t max = take_u32(c);
    if (!cursor_finished(c)) return REPLY_MALFORMED;
    struct attempt *a = attempt_find(&l->attempts, id);
    if (a == NULL) {
        fail(why, STEP_ATTEMPT, ENOENT, "attempt %llu", (unsigned long long)id);
        return REPLY_FAILED;
    }
    if (offset < a->ring.begin) offset = a->ring.begin;
    if (offset > a->ring.end) offset = a->ring.end;
    if (max > FRAME_LIMIT / 2) max = FRAME_LIMIT / 2;
    struct writer w = out_begin(&l->reconciler.out, E_DATA, serial);
    put_u64(&w, id);
    put_u64(&w, offset);
    put_u64(&w, a->ring.end);
    ring_put(&a->ring, offset, max, &w);
    out_end(&l->reconciler.out, &w);
    a->output_told = false;
    return REPLY_LATER;
}

static enum reply set_deadline(struct launcher *l, struct cursor *c, struct failure *why) {
    uint64_t boottime_ns = take_u64(c);
    if (!cursor_finished(c)) return REPLY_MALFORMED;
    if (timer_set_at(l->deadline, boottime_ns) == 0) return REPLY_DONE;
    fail(why, STEP_REQUEST, errno, "deadline %llu", (unsigned long long)boottime_ns);
    return REPLY_FAILED;
}

/* A line of the init system's protocol: nothing in it may begin another one. */
static enum reply note_status(struct launcher *l, struct cursor *c) {
    char status[STATUS_LIMIT + 1];
    struct span text = take_text(c);
    if (!cursor_finished(c) || text.size > STATUS_LIMIT) return REPLY_MALFORMED;
    for (uint32_t i = 0; i < text.size; i++)
        if (text.data[i] < ' ') return REPLY_MALFORMED;
    memcpy(status, text.data, text.size);
    status[text.size] = '\0';
    service_status(l, status);
    return REPLY_DONE;
}

static enum reply note_ready(struct launcher *l, struct cursor *c) {
    take_u64(c);
    if (!cursor_finished(c)) return REPLY_MALFORMED;
    service_ready(l);
    return REPLY_DONE;
}

/* Deaths count for one generation, until another one is tried. */
static enum reply note_trying(struct launcher *l, struct cursor *c) {
    uint64_t generation = take_u64(c);
    if (!cursor_finished(c)) return REPLY_MALFORMED;
    if (generation != l->reconciler.generation) l->reconciler.deaths = 0;
    l->reconciler.generation = generation;
    return REPLY_DONE;
}

/* Once: a successor cannot put it off. What is over this time is taken down without the reconciler. */
static enum reply note_ending(struct launcher *l, struct cursor *c) {
    uint32_t milliseconds = take_u32(c);
    if (!cursor_finished(c)) return REPLY_MALFORMED;
    if (!l->bounded) timer_set_after(l->end, (uint64_t)milliseconds + l->liveness.patience);
    l->bounded = true;
    return REPLY_DONE;
}

static enum reply lock(struct launcher *l, struct cursor *c, struct frame *frame, struct failure *why) {
    struct span directory = take_text(c);
    int *parent = take_fd(c, frame);
    uint8_t noted = take_u8(c);
    int *note = noted == 1 ? take_fd(c, frame) : NULL;
    if (!cursor_finished(c) || directory.size == 0 || directory.size > PATH_MAX || noted > 1 || note == parent)
        return REPLY_MALFORMED;
    char path[PATH_MAX + 1];
    memcpy(path, directory.data, directory.size);
    path[directory.size] = '\0';
    int locked = lock_opened(&l->locks, path, *parent, note == NULL ? -1 : *note, why);
    if (locked < 0) return REPLY_FAILED;
    if (locked == LOCK_NEW) *parent = -1;
    if (locked == LOCK_NEW && note != NULL) *note = -1;
    return REPLY_DONE;
}

/*
 * What recvmsg finds no number for is lost, and with it which frame has which descriptors. So a request that brings
 * more of them is refused while there is still room for all that may be on its way. (New ones take the lowest free
 * numbers.) A new reconciler needs those that are kept once more.
 */
static bool has_room(const struct launcher *l, const struct frame *frame) {
    for (size_t i = 0; i < frame->nfds; i++)
        if (frame->fds[i] >= l->descriptor_bound - (int)l->keeps.end) return false;
    return true;
}

static enum reply dispatch(struct launcher *l, struct frame *frame, struct failure *why) {
    struct cursor *c = &frame->body;
    uint64_t id;
    uint32_t number;
    if (!has_room(l, frame)) {
        fail(why, STEP_REQUEST, EMFILE, "the launcher's descriptors (RLIMIT_NOFILE)");
        return REPLY_FAILED;
    }
    if (l->reexec.proves >= 0 && !proving_does(frame->type)) return proving_request(l, frame, why);
    switch ((enum request_type)frame->type) {
    case R_PREPARE:
        return attempt_prepare(l, frame, why);
    case R_GO:
        return attempt_go(l, frame, why);
    case R_KILL:
        id = take_u64(c);
        number = take_u32(c);
        return cursor_finished(c) ? attempt_kill(l, id, number, why) : REPLY_MALFORMED;
    case R_FORGET:
        id = take_u64(c);
        return cursor_finished(c) ? attempt_forget(l, id, frame->serial, why) : REPLY_MALFORMED;
    case R_RECORD:
        return keep_record(l, c, why);
    case R_WATCH:
        return set_watch(l, c, frame, why);
    case R_REARM:
        id = take_u64(c);
        if (!cursor_finished(c)) return REPLY_MALFORMED;
        return watch_rearm(&l->watches, id, why) == 0 ? REPLY_DONE : REPLY_FAILED;
    case R_UNWATCH:
        id = take_u64(c);
        if (!cursor_finished(c)) return REPLY_MALFORMED;
        watch_drop(&l->watches, id);
        return REPLY_DONE;
    case R_DEADLINE:
        return set_deadline(l, c, why);
    case R_READ:
        return read_output(l, c, frame->serial, why);
    case R_KEEP:
        return set_keep(l, c, frame, why);
    case R_DROP:
        return drop_keep(l, c);
    case R_ACCEPT:
        return accept_connection(l, c, frame, why);
    case R_READY:
        return note_ready(l, c);
    case R_TRYING:
        return note_trying(l, c);
    case R_STOP:
        number = take_u8(c);
        if (!cursor_finished(c)) return REPLY_MALFORMED;
        l->status = (uint8_t)number;
        return REPLY_DONE;
    case R_SLEEP:
        id = take_u64(c);
        number = take_u8(c);
        if (!cursor_finished(c) || number > 1) return REPLY_MALFORMED;
        return sleep_begin(l, id, number == 1, why) == 0 ? REPLY_DONE : REPLY_FAILED;
    case R_STATUS:
        return note_status(l, c);
    case R_ENDING:
        return note_ending(l, c);
    case R_LOCK:
        return lock(l, c, frame, why);
    case R_JOIN:
        return session_join(l, frame, why);
    case R_HEALTH:
        return health_set(l, frame, why);
    case R_SIGNAL:
        id = take_u64(c);
        number = take_u32(c);
        return cursor_finished(c) ? session_signal(l, id, number, why) : REPLY_MALFORMED;
    case R_PROVE:
        return proof_begin(l, frame, why);
    case R_TAKEOVER:
        return cursor_finished(c) ? proof_accept(l, why) : REPLY_MALFORMED;
    case R_PROVEN:
        return REPLY_MALFORMED; /* nobody is to be proven to */
    case R_NOP:
        return cursor_finished(c) ? REPLY_DONE : REPLY_MALFORMED;
    }
    return REPLY_MALFORMED;
}

enum handled handle_request(struct launcher *l, struct frame *frame) {
    struct failure why = {0};
    if (frame->type != R_SLEEP && frame->type != R_NOP) tell_missed(l);
    enum reply reply = dispatch(l, frame, &why);
    if (reply == REPLY_MALFORMED) return HANDLED_MALFORMED;
    if (reply != REPLY_LATER) send_result(l, frame->serial, reply == REPLY_DONE ? NULL : &why);
    return frame->type == R_STOP && reply == REPLY_DONE ? HANDLED_STOP : HANDLED;
}
