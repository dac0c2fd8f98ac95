#define _GNU_SOURCE
#include "health.h"

#include <errno.h>
#include <stdalign.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "asking.h"
#include "clock.h"
#include "senders.h"
#include "sources.h"
#include "timers.h"

enum {
    NOTIFY_TURN = 8,      /* datagrams of one container in one turn of the loop */
    NOTIFY_FDS = 4,       /* with one datagram; the kernel closes the others */
    TELL_INTERVAL = 1000, /* ms between two tellings of what it says of itself */
    VERDICTS_TURN = 64,
    PROBES_LIMIT = 2,
};

static uint64_t now_ms(void) { return monotonic_now() / 1000000; }

static void earliest(uint64_t *next, uint64_t at) {
    if (at != 0 && (*next == 0 || at < *next)) *next = at;
}

/* Watchdogs that are fed push nothing: the timer rings when the first was due, and is set to the next then. */
static void set_timer(struct launcher *l, uint64_t at) {
    if (at == 0 || (l->health_at != 0 && l->health_at <= at)) return;
    l->health_at = at;
    timer_set_at(l->health, at * 1000000);
}

static void set_timers_of(struct launcher *l, const struct health *h) {
    uint64_t next = 0;
    earliest(&next, h->within_at);
    earliest(&next, h->watchdog_at);
    earliest(&next, h->tell_at);
    set_timer(l, next);
}

static void become_ready(struct launcher *l, struct attempt *a) {
    struct health *h = &a->health;
    if (h->ready) return;
    h->ready = true;
    h->ready_ns = boottime_now();
    h->within_at = 0;
    h->message[0] = '\0';
    if (h->asks & ASKS_ALIVE) prober_begin(l, a->id);
    attempt_changed(&l->attempts, a);
}

/* The run has failed, though it goes on: the reconciler ends it. */
static void fail_run(struct launcher *l, struct attempt *a, enum verdict verdict) {
    struct health *h = &a->health;
    h->within_at = h->watchdog_at = 0;
    if (h->verdict != VERDICT_NONE) return;
    h->verdict = verdict;
    attempt_changed(&l->attempts, a);
}

/*
 * What it says of itself wakes nobody, and is told now and then: whoever says something else all the time keeps nothing
 * busy with it.
 */
static void tell_later(struct launcher *l, struct attempt *a) {
    struct health *h = &a->health;
    uint64_t now = now_ms();
    if (l->sleep.asleep) return;
    if (now >= h->told_at + TELL_INTERVAL) {
        h->told_at = now;
        h->tell_at = 0;
        attempt_changed(&l->attempts, a);
    } else if (h->tell_at == 0) {
        h->tell_at = h->told_at + TELL_INTERVAL;
        set_timer(l, h->tell_at);
    }
}

static void heed(struct launcher *l, struct attempt *a, const struct notice *notice) {
    struct health *h = &a->health;
    uint8_t says = h->says;
    if (notice->stopping) says |= SAYS_STOPPING;
    if (notice->reloading) says |= SAYS_RELOADING;
    if (notice->ready) says &= (uint8_t)~SAYS_RELOADING;
    bool is_new = says != h->says || (notice->has_status && strcmp(h->status, notice->status) != 0);
    h->says = says;
    if (notice->has_status) memcpy(h->status, notice->status, sizeof h->status);
    if (notice->ready) h->said_ready = true;
    if (notice->ready && h->asks & ASKS_NOTIFY) become_ready(l, a);
    if (notice->alive && h->watchdog_at != 0) h->watchdog_at = now_ms() + h->watchdog;
    if (notice->fails && h->watchdog_at != 0) fail_run(l, a, VERDICT_WATCHDOG);
    uint64_t extended = now_ms() + notice->extend_ms;
    if (notice->extend_ms > 0 && h->within_at != 0 && extended > h->within_at) h->within_at = extended;
    if (is_new) tell_later(l, a);
}

/* What came along with a datagram. */
struct company {
    pid_t sender;
    int fds[NOTIFY_FDS];
    size_t nfds;
};

static void take_control(struct msghdr *message, struct company *company) {
    *company = (struct company){0};
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header != NULL; header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level != SOL_SOCKET) continue;
        if (header->cmsg_type == SCM_CREDENTIALS) {
            struct ucred who;
            memcpy(&who, CMSG_DATA(header), sizeof who);
            company->sender = who.pid;
        }
        if (header->cmsg_type != SCM_RIGHTS) continue;
        company->nfds = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(company->fds, CMSG_DATA(header), company->nfds * sizeof(int));
    }
}

/* Whether nobody but the container reaches it: by a path in its mount namespace, by a name in its network namespace. */
static bool is_its_own(const struct attempt *a) {
    struct sockaddr_un name;
    socklen_t size = sizeof name;
    if (a->init.own_network) return true;
    return getsockname(a->health.notify, (struct sockaddr *)&name, &size) == 0 &&
           size > offsetof(struct sockaddr_un, sun_path) && name.sun_path[0] == '/';
}

/* Only who is in the container is believed; one who has gone by now was in it where nobody else can have sent. */
static bool is_believed(const struct attempt *a, pid_t sender) {
    enum sender where = sender > 0 ? sender_of(sender, a->init.pid) : SENDER_ELSEWHERE;
    return where == SENDER_INSIDE || (where == SENDER_GONE && is_its_own(a));
}

void handle_notify(struct launcher *l, struct attempt *a) {
    for (int i = 0; i < NOTIFY_TURN && a->health.notify >= 0; i++) {
        char text[NOTICE_LIMIT];
        alignas(struct cmsghdr) char space[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(NOTIFY_FDS * sizeof(int))];
        struct iovec part = {.iov_base = text, .iov_len = sizeof text};
        struct msghdr message = {
            .msg_iov = &part, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
        ssize_t size = recvmsg(a->health.notify, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (size < 0) return;
        struct company company;
        take_control(&message, &company);
        if (!(message.msg_flags & MSG_TRUNC) && is_believed(a, company.sender)) {
            struct notice notice;
            notice_parse(text, (size_t)size, &notice);
            heed(l, a, &notice);
        }
        /* Of a BARRIER this says that all that was sent before has been heard. */
        for (size_t k = 0; k < company.nfds; k++) close(company.fds[k]);
    }
}

void health_take(struct attempt *a, int fd) {
    if (a->health.notify < 0)
        a->health.notify = fd;
    else
        close(fd);
}

int health_listen(struct launcher *l, const struct attempt *a) {
    struct tag tag = {.source = SOURCE_NOTIFY, .place = a->place, .life = a->life};
    if (a->health.notify < 0 || a->state != ATTEMPT_RUNNING) return 0;
    return source_add(l->bulk, a->health.notify, EPOLLIN, tag);
}

static bool take_probe(struct cursor *c, struct probe_order *order, struct span *list) {
    order->role = take_u8(c);
    order->kind = take_u8(c);
    order->family = take_u8(c);
    order->port = take_u16(c);
    order->every = take_u32(c);
    order->timeout = take_u32(c);
    order->failures = take_u32(c);
    struct span address = take_raw(c, sizeof order->address);
    if (!c->failed) memcpy(order->address, address.data, sizeof order->address);
    struct span path = take_text(c);
    *list = take_bytes(c);
    if (c->failed || path.size >= PROBE_PATH || list->size > PROBE_LIST_LIMIT) return false;
    if (path.size > 0) memcpy(order->path, path.data, path.size);
    order->list_size = list->size;
    bool dials = order->kind == PROBE_TCP || order->kind == PROBE_HTTP;
    return order->role <= PROBE_ALIVE && order->kind >= PROBE_EXEC && order->kind <= PROBE_FILE && order->every > 0 &&
           order->timeout > 0 && order->failures > 0 && dials == (list->size == 0) &&
           (!dials || order->family == 4 || order->family == 6);
}

enum reply health_set(struct launcher *l, struct frame *frame, struct failure *why) {
    struct cursor *c = &frame->body;
    uint64_t id = take_u64(c);
    uint32_t revision = take_u32(c), within = take_u32(c), watchdog = take_u32(c);
    uint8_t notifies = take_u8(c), count = take_u8(c);
    struct probe_order orders[PROBES_LIMIT] = {0};
    struct span lists[PROBES_LIMIT] = {0};
    if (c->failed || notifies > 1 || count > PROBES_LIMIT || (revision == 0 && count > 0)) return REPLY_MALFORMED;
    uint8_t asks = notifies ? ASKS_NOTIFY : 0;
    for (uint8_t i = 0; i < count; i++) {
        if (!take_probe(c, &orders[i], &lists[i])) return REPLY_MALFORMED;
        asks |= orders[i].role == PROBE_READY ? ASKS_READY : ASKS_ALIVE;
    }
    if (!cursor_finished(c)) return REPLY_MALFORMED;
    struct attempt *a = attempt_find(&l->attempts, id);
    if (a == NULL || a->state != ATTEMPT_RUNNING) {
        fail(why, STEP_HEALTH, a == NULL ? ENOENT : EINVAL, "attempt %llu", (unsigned long long)id);
        return REPLY_FAILED;
    }
    struct health *h = &a->health;
    prober_drop(l, id);
    h->revision = 0;
    h->asks = asks;
    h->watchdog = watchdog;
    /* What was ready stays it: the probe that says so is of the start. */
    bool waits = asks & (ASKS_NOTIFY | ASKS_READY) && !h->ready;
    for (uint8_t i = 0; i < count; i++) {
        if (orders[i].role == PROBE_READY && !waits) continue;
        orders[i].order = ORDER_SET;
        orders[i].attempt = id;
        orders[i].revision = revision;
        orders[i].held = orders[i].role == PROBE_ALIVE && waits;
        if (prober_set(l, &orders[i], a->init.pidfd, lists[i], frame, why) != 0) {
            prober_drop(l, id);
            return REPLY_FAILED;
        }
    }
    h->revision = revision;
    h->within_at = waits && within > 0 ? now_ms() + within : 0;
    h->watchdog_at = watchdog > 0 ? now_ms() + watchdog : 0;
    if (waits && asks & ASKS_NOTIFY && h->said_ready) become_ready(l, a);
    set_timers_of(l, h);
    attempt_changed(&l->attempts, a);
    return REPLY_DONE;
}

void health_resume(struct launcher *l, const struct attempt *a) { set_timers_of(l, &a->health); }

void handle_health(struct launcher *l) {
    if (!timer_rang(l->health)) return;
    uint64_t now = now_ms(), next = 0;
    l->health_at = 0;
    for (uint32_t place = 0; place < l->attempts.used; place++) {
        struct attempt *a = attempt_at(&l->attempts, place);
        struct health *h = &a->health;
        if (l->attempts.ids[place] == 0 || a->state != ATTEMPT_RUNNING) continue;
        if (h->within_at != 0 && h->within_at <= now) fail_run(l, a, VERDICT_LATE);
        if (h->watchdog_at != 0 && h->watchdog_at <= now) fail_run(l, a, VERDICT_WATCHDOG);
        if (h->tell_at != 0 && h->tell_at <= now) {
            h->tell_at = 0;
            tell_later(l, a);
        }
        earliest(&next, h->within_at);
        earliest(&next, h->watchdog_at);
        earliest(&next, h->tell_at);
    }
    set_timer(l, next);
}

static void judge(struct launcher *l, const struct probe_verdict *verdict) {
    struct attempt *a = attempt_find(&l->attempts, verdict->attempt);
    if (a == NULL || a->state != ATTEMPT_RUNNING || a->health.revision != verdict->revision) return;
    memcpy(a->health.message, verdict->message, sizeof a->health.message);
    if (verdict->role == PROBE_ALIVE)
        fail_run(l, a, VERDICT_UNHEALTHY);
    else if (verdict->good)
        become_ready(l, a);
}

void handle_prober(struct launcher *l) {
    struct probe_verdict verdict;
    for (int i = 0; i < VERDICTS_TURN && prober_says(l, &verdict); i++) judge(l, &verdict);
}

void health_end(struct launcher *l, struct attempt *a) {
    struct health *h = &a->health;
    source_close(l->bulk, &h->notify);
    if (h->asks & (ASKS_READY | ASKS_ALIVE)) prober_drop(l, a->id);
    h->asks = 0;
    h->within_at = h->watchdog_at = h->tell_at = 0;
}

void health_lost(struct launcher *l) {
    for (uint32_t place = 0; place < l->attempts.used; place++) {
        struct attempt *a = attempt_at(&l->attempts, place);
        bool asks = a->health.asks & (ASKS_READY | ASKS_ALIVE);
        if (l->attempts.ids[place] == 0 || a->state != ATTEMPT_RUNNING || !asks) continue;
        a->health.revision = 0;
        attempt_changed(&l->attempts, a);
    }
}
