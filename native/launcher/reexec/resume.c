#define _GNU_SOURCE
#include "resume.h"

#include <fcntl.h>
#include <sys/epoll.h>

#include "../core/health.h"
#include "../core/notify.h"
#include "../core/senders.h"
#include "../core/sources.h"
#include "../inherited.h"
#include "../sandbox/null-devices.h"

struct outside gather_outside(void) {
    const struct inherited *inherited = inherited_state();
    int proc = *senders_proc();
    return (struct outside){.proc = proc,
                            .notify = *notify_descriptor(),
                            .memory_score = inherited->memory_score,
                            .own_score = inherited->own_score,
                            .started_priority = inherited->started_priority,
                            .devices = *null_devices_made(),
                            .own_namespace = openat(proc, "self/ns/mnt", O_RDONLY | O_CLOEXEC)};
}

void spread_outside(const struct outside *outside) {
    *senders_proc() = outside->proc;
    *notify_descriptor() = outside->notify;
    *null_devices_made() = outside->devices;
    *inherited_state() = (struct inherited){.started_priority = outside->started_priority,
                                            .memory_score = outside->memory_score,
                                            .own_score = outside->own_score};
}

static int watch(struct launcher *l, const struct attempt *a) {
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
    return health_listen(l, a);
}

int resume(struct launcher *l) {
    for (uint32_t place = 0; place < l->attempts.used; place++) {
        struct attempt *a = attempt_at(&l->attempts, place);
        if (l->attempts.ids[place] == 0) continue;
        if (watch(l, a) != 0) return -1;
        health_resume(l, a);
    }
    /* Who asked containers how they are was of the former program. */
    health_lost(l);
    return relays_watch(&l->relays);
}
