#define _GNU_SOURCE
#include "sleep.h"

#include <errno.h>

#include "clock.h"

int sleep_begin(struct launcher *l, uint64_t events_read, bool output, struct failure *why) {
    struct reconciler *r = &l->reconciler;
    bool rested = events_read == r->events_told && l->attempts.changed == 0 && !r->sync_due && l->terminating == 0 &&
                  l->sessions.live == 0 && l->phase == PHASE_RUNNING;
    if (!rested) return fail(why, STEP_REQUEST, EAGAIN, "sleep after event %llu", (unsigned long long)events_read);
    uint32_t count = l->sleep.count + 1;
    l->sleep = (struct sleep){.asleep = true, .output = output, .since_ns = boottime_now(), .count = count};
    return 0;
}

bool sleep_rings(struct launcher *l, enum rang rang, uint64_t key) {
    if (!l->sleep.asleep) return false;
    if (rang == RANG_DEADLINE) l->sleep.deadline_rang = true;
    if (l->sleep.rang == RANG_NOTHING) {
        l->sleep.rang = (uint8_t)rang;
        l->sleep.key = key;
    }
    return true;
}

bool sleep_is_over(const struct launcher *l) {
    return l->sleep.asleep && l->reconciler.pid == 0 && l->sleep.rang != RANG_NOTHING;
}

void sleep_end(struct launcher *l) {
    l->sleep.asleep = false;
    l->sleep.deadline_rang = false;
}
