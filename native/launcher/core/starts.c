#define _GNU_SOURCE
#include "starts.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "../memory.h"
#include "../signal-name.h"
#include "clock.h"
#include "messages.h"
#include "session-table.h"
#include "sources.h"
#include "spare-network.h"

static enum reply refuse(struct failure *why, int error, uint64_t id) {
    fail(why, STEP_ATTEMPT, error, "attempt %llu", (unsigned long long)id);
    return REPLY_FAILED;
}

/* A repeated request takes the answer over; only one may wait for it. */
static enum reply wait_for_answer(uint32_t *serial, uint32_t ours, uint64_t id, struct failure *why) {
    if (*serial != 0) return refuse(why, EBUSY, id);
    *serial = ours;
    return REPLY_LATER;
}

static enum reply repeat_failure(const struct attempt *a, struct failure *why) {
    *why = a->failure;
    return REPLY_FAILED;
}

/* The fields before the op list of R_PREPARE and R_GO. */
struct heading {
    uint64_t id;
    struct span name;
    struct span hash;
    uint64_t after;
    struct span record;
    size_t ops_size; /* what is left of the body */
};

static bool take_heading(struct frame *frame, struct heading *h) {
    struct cursor *c = &frame->body;
    *h = (struct heading){.id = take_u64(c)};
    if (frame->type == R_PREPARE) {
        h->name = take_text(c);
        h->hash = take_raw(c, HASH_SIZE);
    } else {
        h->after = take_u64(c);
    }
    h->record = take_bytes(c);
    h->ops_size = (size_t)(c->end - c->at);
    return !c->failed && h->id != 0 && h->name.size <= NAME_LIMIT && h->record.size <= RECORD_LIMIT;
}

static void set_record(struct attempt *a, struct span record) {
    if (record.size > 0) memcpy(a->record, record.data, record.size);
    a->record_size = record.size;
}

/* The specification moves into memory that the init inherits, is launched, and leaves no copy behind for the next. */
static int launch(const struct launcher *l, struct frame *frame, const struct heading *h, struct init *init,
                  struct failure *why) {
    size_t ops_size = h->ops_size;
    char name[NAME_LIMIT + 1] = "";
    if (h->name.size > 0) memcpy(name, h->name.data, h->name.size);
    if (ops_size == 0) return fail(why, STEP_REQUEST, EINVAL, "an empty op list");
    uint8_t *spec = spec_alloc(ops_size);
    if (spec == NULL) return fail(why, STEP_MEMORY, errno, "the specification");
    memcpy(spec, frame->body.at, ops_size);
    struct cursor list = cursor_over(spec, ops_size);
    struct ops *ops = ops_parse(&list, frame->fds, frame->nfds, LIST_PREPARE, why);
    int network = ops != NULL && launch_takes_network(ops) ? spare_network_take(l) : -1;
    int result = ops == NULL ? -1 : launch_prepare(init, ops, name, network, l->descriptor_bound, why);
    if (network >= 0) close(network);
    if (ops != NULL) ops_free(ops);
    spec_free(spec, ops_size);
    return result;
}

int attempt_watch(const struct launcher *l, const struct attempt *a) {
    struct tag tag = {.place = a->place, .life = a->life};
    const struct {
        int epoll, fd;
        enum source source;
    } ends[] = {{l->epoll, a->init.pidfd, SOURCE_INIT},
                {l->epoll, a->init.control, SOURCE_CONTROL},
                {l->bulk, a->init.output[0], SOURCE_STDOUT},
                {l->bulk, a->init.output[1], SOURCE_STDERR}};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        tag.source = ends[i].source;
        if (ends[i].fd >= 0 && source_add(ends[i].epoll, ends[i].fd, EPOLLIN, tag) != 0) return -1;
    }
    return 0;
}

/* The pipes of `io: inherit` are no longer the attempt's. */
static int relay_outputs(struct launcher *l, struct attempt *a) {
    for (int i = 0; i < 2; i++) {
        if (!a->init.relayed[i]) continue;
        if (relay_add(&l->relays, a->init.output[i], i + 1) != 0) return -1;
        a->init.output[i] = -1;
    }
    return 0;
}

enum reply attempt_prepare(struct launcher *l, struct frame *frame, struct failure *why) {
    struct heading h;
    if (!take_heading(frame, &h)) return REPLY_MALFORMED;
    struct attempt *a = attempt_find(&l->attempts, h.id);
    if (a != NULL) {
        if (memcmp(a->hash, h.hash.data, HASH_SIZE) != 0 || a->forgotten) return refuse(why, EEXIST, h.id);
        if (a->state == ATTEMPT_FAILED) return repeat_failure(a, why);
        if (a->state != ATTEMPT_PREPARING) return REPLY_DONE;
        return wait_for_answer(&a->prepare_serial, frame->serial, h.id, why);
    }
    if ((a = attempt_add(&l->attempts, h.id)) == NULL) return refuse(why, ENOSPC, h.id);
    struct init init;
    if (launch(l, frame, &h, &init, why) != 0) {
        attempt_remove(&l->attempts, a);
        return REPLY_FAILED;
    }
    a->init = init;
    a->state = ATTEMPT_PREPARING;
    a->ring = ring_of(init.ring_size);
    a->prepare_serial = frame->serial;
    memcpy(a->hash, h.hash.data, HASH_SIZE);
    if (h.name.size > 0) memcpy(a->name, h.name.data, h.name.size);
    set_record(a, h.record);
    l->attempts.live++;
    if (relay_outputs(l, a) != 0 || attempt_watch(l, a) != 0) {
        fail(&a->failure, STEP_INIT, errno, "the init cannot be watched");
        init_kill(&a->init, SIGKILL); /* SIGCHLD tells when it has gone */
    }
    return REPLY_LATER;
}

/* A go that cannot be sent is a failed start: what the init has done until then is of no use. */
static void send_go(struct attempt *a, struct cursor list, const int *fds, size_t nfds) {
    struct failure why = {0};
    struct ops *ops = ops_parse(&list, fds, nfds, LIST_GO, &why);
    a->go_state = GO_SENT;
    if (ops == NULL || launch_go(&a->init, ops, &why) != 0) {
        a->failure = why;
        init_kill(&a->init, SIGKILL);
    }
    if (ops != NULL) ops_free(ops);
}

static void go_list_free(struct go_list *go) {
    for (size_t i = 0; i < go->nfds; i++) close(go->fds[i]);
    if (go->bytes != NULL) dontfork_free(go->bytes, go->size);
    *go = (struct go_list){0};
}

static int go_list_keep(struct go_list *go, const struct frame *frame, size_t size) {
    uint8_t *bytes = dontfork_alloc(size);
    if (bytes == NULL) return -1;
    go_list_free(go);
    memcpy(bytes, frame->body.at, size);
    go->bytes = bytes;
    go->size = size;
    go->nfds = frame->nfds;
    for (size_t i = 0; i < frame->nfds; i++) {
        go->fds[i] = frame->fds[i];
        frame->fds[i] = -1;
    }
    return 0;
}

static void set_after(struct attempts *all, struct attempt *a, uint64_t after) {
    if (a->after != 0) all->waiting--;
    if (after != 0) all->waiting++;
    a->after = after;
}

/* Whether `after` still has a process that the go must wait for. */
static bool must_wait_for(const struct launcher *l, uint64_t after) {
    const struct attempt *other = attempt_find(&l->attempts, after);
    return (other != NULL && !attempt_is_over(other)) || sessions_live_in(&l->sessions, after);
}

enum reply attempt_go(struct launcher *l, struct frame *frame, struct failure *why) {
    struct heading h;
    if (!take_heading(frame, &h)) return REPLY_MALFORMED;
    struct attempt *a = attempt_find(&l->attempts, h.id);
    if (a == NULL || a->forgotten) return refuse(why, ENOENT, h.id);
    if (a->state == ATTEMPT_FAILED) return repeat_failure(a, why);
    if (a->state == ATTEMPT_RUNNING || a->state == ATTEMPT_EXITED) return REPLY_DONE;
    if (a->go_state == GO_SENT) return wait_for_answer(&a->go_serial, frame->serial, h.id, why);
    if (h.after == h.id) return refuse(why, EINVAL, h.id);

    struct ops *ops = ops_parse(&(struct cursor){.at = frame->body.at, .end = frame->body.end, .failed = false},
                                frame->fds, frame->nfds, LIST_GO, why);
    if (ops == NULL) return REPLY_FAILED;
    ops_free(ops);
    bool waits = must_wait_for(l, h.after);
    if (!waits) {
        /* An init that is not prepared yet finds it in its socket when it is, and need not be woken once more. */
        set_after(&l->attempts, a, 0);
        go_list_free(&a->go);
        send_go(a, frame->body, frame->fds, frame->nfds);
    } else {
        if (go_list_keep(&a->go, frame, h.ops_size) != 0) return refuse(why, ENOMEM, h.id);
        set_after(&l->attempts, a, h.after);
        a->go_state = GO_WAITS;
    }
    set_record(a, h.record);
    if (waits) {
        attempt_changed(&l->attempts, a);
        return REPLY_DONE;
    }
    a->go_serial = frame->serial;
    return REPLY_LATER;
}

/* Sends the go that waits to its init. */
static void attempt_fire(struct attempts *all, struct attempt *a) {
    set_after(all, a, 0);
    all->fired = a->id;
    all->fired_ns = boottime_now();
    send_go(a, cursor_over(a->go.bytes, a->go.size), a->go.fds, a->go.nfds);
    go_list_free(&a->go);
}

void attempts_fire_after(struct attempts *all, uint64_t id) {
    for (uint32_t place = 0; all->waiting > 0 && place < all->used; place++) {
        struct attempt *a = attempt_at(all, place);
        if (all->ids[place] != 0 && a->after == id) attempt_fire(all, a);
    }
}

void attempt_cancel_go(struct attempts *all, struct attempt *a) {
    set_after(all, a, 0);
    go_list_free(&a->go);
    if (a->go_state == GO_WAITS) a->go_state = GO_NONE;
}

/*
 * SIGKILL takes the PID namespace with its init; a stop and its end are the whole process group's; anything else goes
 * to the init, which passes it on.
 */
enum reply attempt_kill(struct launcher *l, uint64_t id, uint32_t number, struct failure *why) {
    struct attempt *a = attempt_find(&l->attempts, id);
    if (a == NULL) return refuse(why, ENOENT, id);
    int signal = (int)number;
    bool killed = signal == SIGKILL;
    if (number == 0 || number >= NSIG) {
        fail(why, STEP_KILL, EINVAL, "signal %u", number);
        return REPLY_FAILED;
    }
    if (attempt_is_over(a)) return REPLY_DONE;
    if (!killed && a->state != ATTEMPT_RUNNING && a->go_state != GO_SENT) return refuse(why, EINVAL, id);
    bool group = (signal == SIGSTOP || signal == SIGCONT) && a->state == ATTEMPT_RUNNING;
    int result = group ? kill(-a->init.pid, signal) : init_kill(&a->init, signal);
    if (result == 0 || errno == ESRCH) return REPLY_DONE; /* ESRCH: it has ended and is about to be reaped */
    fail(why, STEP_KILL, errno, "%s to attempt %llu", signal_name((int)number), (unsigned long long)id);
    return REPLY_FAILED;
}

enum reply attempt_forget(struct launcher *l, uint64_t id, uint32_t serial, struct failure *why) {
    struct attempt *a = attempt_find(&l->attempts, id);
    if (a == NULL) return REPLY_DONE;
    if (attempt_is_over(a)) {
        attempt_remove(&l->attempts, a);
        return REPLY_DONE;
    }
    if (a->state == ATTEMPT_RUNNING || a->go_state == GO_SENT) return refuse(why, EBUSY, id);
    if (wait_for_answer(&a->forget_serial, serial, id, why) == REPLY_FAILED) return REPLY_FAILED;
    a->forgotten = true;
    attempt_cancel_go(&l->attempts, a);
    init_kill(&a->init, SIGKILL);
    return REPLY_LATER;
}
