#include "liveness.h"

#include "clock.h"
#include "timers.h"

static const uint64_t MILLISECOND = 1000000;

void liveness_begin(struct liveness *of) {
    of->asked = false;
    of->heard_ns = 0;
    if (of->waits_ns == 0) of->waits_ns = monotonic_now();
    timer_set_after(of->timer, PATIENCE_AT_START);
}

void liveness_end(struct liveness *of) { timer_set_after(of->timer, 0); }

void liveness_rest(struct liveness *of) { of->waits_ns = 0; }

bool liveness_is_answered(const struct liveness *of) {
    uint64_t bound = PATIENCES_OF_ALL * of->patience * MILLISECOND;
    return of->waits_ns == 0 || monotonic_now() - of->waits_ns < bound;
}

void liveness_heard(struct liveness *of) {
    if (of->heard_ns == 0) timer_set_after(of->timer, of->patience);
    of->asked = false;
    of->heard_ns = of->waits_ns = monotonic_now();
}

/* The timer is not set anew with each word: it is seen when it rings how much silence is left. */
enum alive liveness_look(struct liveness *of) {
    if (!timer_rang(of->timer)) return ALIVE;
    uint64_t silent = (monotonic_now() - of->heard_ns) / MILLISECOND;
    if (of->heard_ns != 0 && silent < of->patience) {
        timer_set_after(of->timer, of->patience - silent);
        return ALIVE;
    }
    if (of->asked) return ALIVE_NOT;
    of->asked = true;
    timer_set_after(of->timer, of->patience);
    return ALIVE_ASK;
}
