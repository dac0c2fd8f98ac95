#define _GNU_SOURCE
#include "resume.h"

#include <fcntl.h>

#include "../core/health.h"
#include "../core/notify.h"
#include "../core/senders.h"
#include "../core/starts.h"
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

int resume(struct launcher *l) {
    for (uint32_t place = 0; place < l->attempts.used; place++) {
        struct attempt *a = attempt_at(&l->attempts, place);
        if (l->attempts.ids[place] == 0) continue;
        if (attempt_watch(l, a) != 0 || health_listen(l, a) != 0) return -1;
        health_resume(l, a);
    }
    /* Who asked containers how they are was of the former program. */
    health_lost(l);
    return relays_watch(&l->relays);
}
