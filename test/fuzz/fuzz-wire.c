/*
 * What a reconciler sends, whatever its bytes are: cut into frames, each done as the launcher does it, with its tables,
 * its answers and its descriptors. Only what makes processes is replaced: an init is a number here.
 */
#define _GNU_SOURCE
#include "../../native/launcher/core/requests.h"
#include "../../native/launcher/core/telling.h"
#include "../../native/launcher/memory.h"
#include "../../native/launcher/prober/prober.h"
#include "../../native/launcher/sandbox/join.h"
#include "../../native/launcher/sandbox/launch.h"
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { FDS = 3 };

/* In place of memory.c: the sanitizer sees what goes beyond. */
void *spec_alloc(size_t size) { return calloc(1, size); }

void spec_free(void *memory, size_t size) {
    (void)size;
    free(memory);
}

void *dontfork_alloc(size_t size) { return spec_alloc(size); }
void dontfork_free(void *memory, size_t size) { spec_free(memory, size); }

/* In place of launch.c: a list that is whole makes an init that nobody hears of. */
int launch_prepare(struct init *init, struct ops *prepare, const char *name, int network, int bound,
                   struct failure *why) {
    (void)name;
    (void)network;
    (void)bound;
    (void)why;
    *init = (struct init){.pid = 1, .pidfd = -1, .control = -1, .output = {-1, -1}, .oom = -1};
    init->ring_size = prepare->count;
    return 0;
}

/* No start here leaves a network for the next. */
bool launch_takes_network(const struct ops *prepare) {
    (void)prepare;
    return false;
}

int launch_network(void) { abort(); }

int network_receive(int socket) {
    (void)socket;
    abort();
}

int launch_go(struct init *init, const struct ops *go, struct failure *why) {
    (void)init;
    return go->count % 2 == 0 ? fail(why, STEP_CONTROL, 1, "refused") : 0;
}

/* In place of join.c: no init here comes so far that somebody could join it. */
pid_t launch_join(const struct init *target, struct ops *list, int bound, int *control, struct failure *why) {
    (void)target;
    (void)list;
    (void)bound;
    (void)control;
    (void)why;
    abort();
}

int join_devices(struct failure *why) {
    (void)why;
    abort();
}

/* In place of the prober: none of them runs, so that nobody is asked. */
_Noreturn void prober_main(int socket, int devices, int bound) {
    (void)socket;
    (void)devices;
    (void)bound;
    abort();
}

int init_kill(const struct init *init, int signal) {
    (void)init;
    (void)signal;
    return 0;
}

/* A process group of the host's must not be signalled by a fuzzer. */
int kill(pid_t pid, int signal) {
    (void)pid;
    (void)signal;
    return 0;
}

static struct launcher *make_launcher(void) {
    struct launcher *l = calloc(1, sizeof *l);
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    l->bulk = epoll_create1(EPOLL_CLOEXEC);
    l->health = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    l->prober.socket = -1;
    l->reexec.proves = l->reexec.program = l->reexec.verdict = l->reexec.timer = -1;
    l->deadline = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    l->descriptor_bound = 1 << 20;
    l->reconciler.socket = eventfd(0, EFD_CLOEXEC); /* nothing is sent to it: answers are looked at and thrown away */
    l->watches.epoll = l->relays.epoll = l->epoll;
    l->relays.bulk = l->bulk;
    if (watches_open(&l->watches) != 0 || keeps_open(&l->keeps) != 0 || relays_open(&l->relays) != 0 ||
        attempts_open(&l->attempts) != 0 || inbox_open(&l->reconciler.in) != 0 || outbox_open(&l->reconciler.out) != 0)
        abort();
    return l;
}

/* The next input finds nothing of this one. */
static void forget(struct launcher *l) {
    for (uint32_t place = 0; place < l->attempts.used; place++)
        if (l->attempts.ids[place] != 0) {
            struct attempt *a = attempt_at(&l->attempts, place);
            for (size_t i = 0; i < a->go.nfds; i++) close(a->go.fds[i]);
            if (a->go.bytes != NULL) dontfork_free(a->go.bytes, a->go.size);
            attempt_remove(&l->attempts, a);
        }
    l->attempts.used = l->attempts.waiting = l->attempts.live = 0;
    /* A frame makes one watch at most. */
    for (size_t i = 0; i < l->reconciler.in.end / FRAME_HEADER && i < WATCH_LIMIT; i++)
        if (l->watches.places[i].taken) watch_drop(&l->watches, l->watches.places[i].key);
    for (uint32_t i = 0; i < l->keeps.end; i++)
        if (l->keeps.places[i].taken) close(l->keeps.places[i].fd);
    memset(l->keeps.places, 0, l->keeps.end * sizeof l->keeps.places[0]);
    l->keeps.end = 0;
    for (size_t i = 0; i < l->locks.count; i++) {
        close(l->locks.held[i].parent);
        if (l->locks.held[i].note >= 0) close(l->locks.held[i].note);
    }
    l->locks.count = 0;
    struct inbox *in = &l->reconciler.in;
    for (size_t i = 0; i < in->nfds; i++)
        if (in->fds[i] >= 0) close(in->fds[i]);
    in->nfds = in->begin = in->end = 0;
    l->reconciler.out.begin = l->reconciler.out.end = 0;
    l->reconciler.out.overrun = false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct launcher *l;
    if (l == NULL) l = make_launcher();
    struct inbox *in = &l->reconciler.in;
    if (size > INBOX_SIZE) return 0;
    if (size > 0) memcpy(in->data, data, size);
    in->end = size;
    /* Descriptors are made when a frame asks for them, as the kernel would bring them along. */
    for (struct frame frame; out_queued(&l->reconciler.out) < OUTBOX_FULL;) {
        if (in->end - in->begin >= FRAME_HEADER && in->data[in->begin + 6] <= FDS && in->data[in->begin + 7] == 0)
            while (in->nfds < in->data[in->begin + 6]) in->fds[in->nfds++] = eventfd(0, EFD_CLOEXEC);
        if (inbox_frame(in, &frame) != FRAMED_ONE || handle_request(l, &frame) == HANDLED_MALFORMED) break;
        inbox_drop(in, &frame);
        if (l->reconciler.out.overrun) abort();
    }
    forget(l);
    return 0;
}
