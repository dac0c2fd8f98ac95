#define _GNU_SOURCE
#include "layouts.h"

#include "../core/launcher.h"
#include "../core/streams.h"

/*
 * To add a member: a line here with the next free number of its list, and it is handed over. A member that has no line
 * fails test/unit/native/launcher/reexec.test.ts. A number is never used for something else.
 */
#define FIELD(number, KIND, type, member)                                                                              \
    {number, FIELD_##KIND, offsetof(struct type, member), sizeof(((struct type *)0)->member), #type "." #member}
#define LAYOUT(name, KIND)                                                                                             \
    const struct layout name##_layout = {KIND, name##_fields, sizeof name##_fields / sizeof name##_fields[0]}

static const struct field launcher_fields[] = {
    FIELD(0, LEFT, launcher, pid), /* whoever reads this is it, or proves that it could be */
    FIELD(2, NUMBER, launcher, started_ns),
    FIELD(0, LEFT, launcher, phase), /* nobody takes over once the end has begun */
    FIELD(0, LEFT, launcher, terminating),
    FIELD(0, LEFT, launcher, deaths_terminating),
    FIELD(0, LEFT, launcher, status),
    FIELD(3, FLAG, launcher, ready_told),
    FIELD(0, LEFT, launcher, stop_told),
    FIELD(4, FLAG, launcher, reloading),
    FIELD(5, FLAG, launcher, unfed),
    FIELD(6, FLAG, launcher, terminal),
    FIELD(0, LEFT, launcher, bounded),
    FIELD(0, LEFT, launcher, over),
    FIELD(0, LEFT, launcher, descriptor_bound), /* found anew */
    FIELD(7, DESCRIPTOR, launcher, namespace_of_reconciler),
    FIELD(0, LEFT, launcher, epoll), /* the loop is made anew */
    FIELD(0, LEFT, launcher, bulk),
    FIELD(0, LEFT, launcher, signals),
    FIELD(0, LEFT, launcher, deadline), /* goes with the reconciler, as at any end of one */
    FIELD(0, LEFT, launcher, pause),
    FIELD(0, LEFT, launcher, service),
    FIELD(0, LEFT, launcher, watchdog_ms),
    FIELD(0, LEFT, launcher, health),    /* the timer: set anew from the attempts */
    FIELD(0, LEFT, launcher, health_at), /* of it */
    FIELD(0, LEFT, launcher, prober),    /* it is of the former program: ended, and started with the next probe */
    FIELD(8, TEXT, launcher, service_text),
    FIELD(0, LEFT, launcher, end),
    FIELD(0, LEFT, launcher, handled_signals),
    FIELD(0, LEFT, launcher, reconciler.command), /* the successor's own */
    FIELD(0, LEFT, launcher, reconciler.first),   /* done */
    FIELD(0, LEFT, launcher, reconciler.is_first),
    FIELD(0, ELSEWHERE, launcher, reconciler.directory),
    FIELD(0, LEFT, launcher, reconciler.pid), /* it has ended */
    FIELD(0, LEFT, launcher, reconciler.pidfd),
    FIELD(0, LEFT, launcher, reconciler.socket),
    FIELD(0, LEFT, launcher, reconciler.interest),
    FIELD(0, LEFT, launcher, reconciler.sync_due),
    FIELD(9, NUMBER, launcher, reconciler.starts),
    FIELD(10, NUMBER, launcher, reconciler.quick_deaths),
    FIELD(0, LEFT, launcher, reconciler.started_ns),
    FIELD(11, NUMBER, launcher, reconciler.generation),
    FIELD(12, NUMBER, launcher, reconciler.deaths),
    FIELD(0, LEFT, launcher, reconciler.faulted),
    FIELD(0, LEFT, launcher, reconciler.events_told),
    FIELD(0, LEFT, launcher, reconciler.in),
    FIELD(0, LEFT, launcher, reconciler.out),
    FIELD(0, LEFT, launcher, sleep.asleep), /* who asked for this was awake */
    FIELD(0, LEFT, launcher, sleep.output),
    FIELD(0, LEFT, launcher, sleep.deadline_rang),
    FIELD(0, LEFT, launcher, sleep.rang),
    FIELD(0, LEFT, launcher, sleep.key),
    FIELD(0, LEFT, launcher, sleep.since_ns),
    FIELD(13, NUMBER, launcher, sleep.count),
    FIELD(0, ELSEWHERE, launcher, attempts),
    FIELD(0, LEFT, launcher, watches), /* go with the reconciler, as at any end of one that does not sleep */
    FIELD(0, ELSEWHERE, launcher, keeps),
    FIELD(0, ELSEWHERE, launcher, relays),
    FIELD(0, ELSEWHERE, launcher, sessions),
    FIELD(0, LEFT, launcher, liveness.timer),
    FIELD(0, LEFT, launcher, liveness.patience), /* of the successor's command line */
    FIELD(0, LEFT, launcher, liveness.asked),
    FIELD(0, LEFT, launcher, liveness.heard_ns),
    FIELD(14, NUMBER, launcher, liveness.waits_ns),
    FIELD(0, ELSEWHERE, launcher, locks),
    FIELD(15, DESCRIPTOR, launcher, arrivals.table),
    FIELD(16, DESCRIPTOR, launcher, arrivals.host),
    FIELD(0, ELSEWHERE, launcher, arrivals.known),
    FIELD(17, NUMBER, launcher, arrivals.child),
    FIELD(18, FLAG, launcher, arrivals.due),
    FIELD(0, ELSEWHERE, launcher, global),
    FIELD(0, ELSEWHERE, launcher, global_size),
    FIELD(19, NUMBER, launcher, reexec.count),
    FIELD(0, LEFT, launcher, reexec.child), /* of this hand-over */
    FIELD(0, LEFT, launcher, reexec.verdict),
    FIELD(0, LEFT, launcher, reexec.timer),
    FIELD(0, LEFT, launcher, reexec.serial),
    FIELD(0, LEFT, launcher, reexec.program),
    FIELD(0, LEFT, launcher, reexec.command),
    FIELD(0, LEFT, launcher, reexec.command_size),
    FIELD(0, LEFT, launcher, reexec.due),
    FIELD(20, NUMBER, launcher, reexec.left_ns),
    FIELD(0, LEFT, launcher, reexec.proves),
};
LAYOUT(launcher, RECORD_LAUNCHER);

static const struct field outside_fields[] = {
    FIELD(101, DESCRIPTOR, outside, proc),          FIELD(102, DESCRIPTOR, outside, notify),
    FIELD(103, DESCRIPTOR, outside, memory_score),  FIELD(104, NUMBER, outside, own_score),
    FIELD(105, NUMBER, outside, started_priority),  FIELD(106, DESCRIPTOR, outside, devices),
    FIELD(107, DESCRIPTOR, outside, own_namespace),
};
LAYOUT(outside, RECORD_OUTSIDE);

static const struct field attempt_fields[] = {
    FIELD(1, NUMBER, attempt, id),
    FIELD(2, NUMBER, attempt, state),
    FIELD(3, NUMBER, attempt, go_state),
    FIELD(0, LEFT, attempt, changed), /* a new reconciler is told all of them */
    FIELD(0, LEFT, attempt, output_told),
    FIELD(4, FLAG, attempt, forgotten),
    FIELD(5, NUMBER, attempt, life),
    FIELD(6, NUMBER, attempt, place),
    FIELD(7, NUMBER, attempt, init.pid),
    FIELD(8, DESCRIPTOR, attempt, init.pidfd),
    FIELD(9, DESCRIPTOR, attempt, init.control),
    FIELD(10, DESCRIPTOR, attempt, init.output[0]),
    FIELD(11, DESCRIPTOR, attempt, init.output[1]),
    FIELD(12, FLAG, attempt, init.relayed[0]),
    FIELD(13, FLAG, attempt, init.relayed[1]),
    FIELD(14, NUMBER, attempt, init.ring_size),
    FIELD(15, DESCRIPTOR, attempt, init.oom),
    FIELD(16, FLAG, attempt, init.own_network),
    FIELD(17, NUMBER, attempt, after),
    FIELD(0, LEFT, attempt, prepare_serial), /* who asked for them is gone */
    FIELD(0, LEFT, attempt, go_serial),
    FIELD(0, LEFT, attempt, forget_serial),
    FIELD(18, NUMBER, attempt, prepared_ns),
    FIELD(19, NUMBER, attempt, started_ns),
    FIELD(20, NUMBER, attempt, exited_ns),
    FIELD(21, NUMBER, attempt, exit_kind),
    FIELD(22, NUMBER, attempt, exit_value),
    FIELD(23, NUMBER, attempt, oom_kills),
    FIELD(24, NUMBER, attempt, application),
    FIELD(25, DESCRIPTOR, attempt, health.notify),
    FIELD(26, NUMBER, attempt, health.revision),
    FIELD(27, NUMBER, attempt, health.asks),
    FIELD(28, NUMBER, attempt, health.verdict),
    FIELD(29, NUMBER, attempt, health.says),
    FIELD(30, FLAG, attempt, health.said_ready),
    FIELD(31, FLAG, attempt, health.ready),
    FIELD(32, NUMBER, attempt, health.ready_ns),
    FIELD(33, NUMBER, attempt, health.within_at),
    FIELD(34, NUMBER, attempt, health.watchdog_at),
    FIELD(35, NUMBER, attempt, health.watchdog),
    FIELD(36, NUMBER, attempt, health.told_at),
    FIELD(37, NUMBER, attempt, health.tell_at),
    FIELD(38, TEXT, attempt, health.status),
    FIELD(39, TEXT, attempt, health.message),
    FIELD(0, ELSEWHERE, attempt, go),
    FIELD(0, ELSEWHERE, attempt, ring.data),
    FIELD(40, NUMBER, attempt, ring.size),
    FIELD(0, ELSEWHERE, attempt, ring.begin),
    FIELD(0, ELSEWHERE, attempt, ring.end),
    FIELD(41, NUMBER, attempt, failure.step),
    FIELD(42, NUMBER, attempt, failure.error),
    FIELD(43, TEXT, attempt, failure.subject),
    FIELD(44, BYTES, attempt, hash),
    FIELD(45, TEXT, attempt, name),
    FIELD(0, ELSEWHERE, attempt, record_size),
    FIELD(0, ELSEWHERE, attempt, record),
};
LAYOUT(attempt, RECORD_ATTEMPT);

static const struct field keep_fields[] = {
    FIELD(0, ELSEWHERE, keep, taken), /* those that are */
    FIELD(1, DESCRIPTOR, keep, fd),
    FIELD(2, TEXT, keep, name),
};
LAYOUT(keep, RECORD_KEEP);

static const struct field relay_fields[] = {
    FIELD(1, DESCRIPTOR, relay, fd),   FIELD(2, NUMBER, relay, stream),
    FIELD(0, LEFT, relay, stalled), /* found again with the next write */
    FIELD(0, LEFT, relay, life),       FIELD(0, ELSEWHERE, relay, size),
    FIELD(0, ELSEWHERE, relay, bytes),
};
LAYOUT(relay, RECORD_RELAY);

static const struct field session_fields[] = {
    FIELD(0, LEFT, session, id), /* it ends with its reconciler: what is left is to be reaped */
    FIELD(1, NUMBER, session, attempt), FIELD(2, NUMBER, session, state), FIELD(3, FLAG, session, copies),
    FIELD(4, FLAG, session, ending),    FIELD(0, LEFT, session, life),    FIELD(0, LEFT, session, serial),
    FIELD(5, NUMBER, session, joiner),  FIELD(6, NUMBER, session, pid),   FIELD(7, FLAG, session, born),
    FIELD(0, LEFT, session, control), /* closed when it was killed */
    FIELD(8, NUMBER, session, status),  FIELD(0, LEFT, session, failure),
};
LAYOUT(session, RECORD_SESSION);

static const struct field lock_fields[] = {
    FIELD(1, NUMBER, held, device),
    FIELD(2, NUMBER, held, inode),
    FIELD(3, DESCRIPTOR, held, parent),
    FIELD(4, DESCRIPTOR, held, note),
};
LAYOUT(lock, RECORD_LOCK);

static const struct field stream_fields[] = {
    FIELD(1, DESCRIPTOR, stream, fd),
    FIELD(2, NUMBER, stream, manner),
    FIELD(0, ELSEWHERE, stream, pending),
    FIELD(0, ELSEWHERE, stream, rest),
};
LAYOUT(stream, RECORD_STREAM);
