/* One probe: its turns, its time, and what its answers come to. */
#define _GNU_SOURCE
#include "probes.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

uint64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void probe_due(struct prober *p, const struct probe *probe, uint64_t at) { p->due[probe - p->probes] = at; }

void note(struct probe *probe, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(probe->message, sizeof probe->message, format, arguments);
    va_end(arguments);
}

int watch_probe(struct prober *p, struct probe *probe, uint32_t events) {
    struct epoll_event event = {.events = events, .data = {.u64 = (uint64_t)(probe - p->probes)}};
    if (epoll_ctl(p->epoll, EPOLL_CTL_MOD, probe->fd, &event) == 0) return 0;
    return errno == ENOENT ? epoll_ctl(p->epoll, EPOLL_CTL_ADD, probe->fd, &event) : -1;
}

bool probe_joins(const struct probe *probe) {
    return probe->order.kind != PROBE_TCP && probe->order.kind != PROBE_HTTP;
}

/* A child that is being made may hold a copy: closing alone would not end the watch. Who joins is not watched. */
void close_probe(struct prober *p, struct probe *probe) {
    if (probe->fd < 0) return;
    if (!probe_joins(probe)) epoll_ctl(p->epoll, EPOLL_CTL_DEL, probe->fd, NULL);
    close(probe->fd);
    probe->fd = -1;
}

void probe_start(struct prober *p, struct probe *probe) {
    probe->message[0] = '\0';
    probe->began = now_ms();
    probe_due(p, probe, probe->began + probe->order.timeout);
    bool begun = probe_joins(probe) ? look_begin(p, probe) : dial_begin(p, probe);
    if (!begun) probe_finish(p, probe, false);
}

void probe_heard(struct prober *p, struct probe *probe) {
    if (probe->state == PROBE_DIALS || probe->state == PROBE_ASKS) dial_heard(p, probe);
}

void probe_abandon(struct prober *p, struct probe *probe) {
    if (probe->state == PROBE_JOINS) {
        look_end(probe);
        p->children--;
    }
    close_probe(p, probe);
}

/* The launcher takes it as it comes; one that does not is gone. */
static void tell(const struct prober *p, struct probe *probe, bool good) {
    struct probe_verdict verdict = {
        .attempt = probe->order.attempt, .revision = probe->order.revision, .role = probe->order.role, .good = good};
    memcpy(verdict.message, probe->message, sizeof verdict.message);
    if (send(p->socket, &verdict, sizeof verdict, MSG_NOSIGNAL) < 0) _exit(0);
}

static void be_done(struct prober *p, struct probe *probe) {
    probe->state = PROBE_DONE;
    probe_due(p, probe, NEVER);
}

/* It is told what changes something: that it is ready, why it is not, that it has failed too often in a row. */
static void judge(struct prober *p, struct probe *probe, bool good) {
    if (probe->order.role == PROBE_READY) {
        if (!good && strcmp(probe->told, probe->message) == 0) return;
        memcpy(probe->told, probe->message, sizeof probe->told);
        tell(p, probe, good);
        if (good) be_done(p, probe);
        return;
    }
    probe->failed = good ? 0 : probe->failed + 1;
    if (probe->failed < probe->order.failures) return;
    tell(p, probe, false);
    be_done(p, probe);
}

void probe_finish(struct prober *p, struct probe *probe, bool good) {
    probe_abandon(p, probe);
    probe->state = PROBE_WAITS;
    /* A turn that was missed is not made up for. */
    uint64_t now = now_ms(), next = probe->began + probe->order.every;
    probe_due(p, probe, next < now ? now : next);
    judge(p, probe, good);
}
