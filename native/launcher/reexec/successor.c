#define _GNU_SOURCE
#include "successor.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../core/clock.h"
#include "../core/host.h"
#include "../core/loop.h"
#include "../core/say.h"
#include "../core/streams.h"
#include "../core/supervise.h"
#include "descriptor.h"
#include "handover.h"
#include "pass-on.h"
#include "proving.h"
#include "resume.h"

static const uint64_t MICROSECOND = 1000;

/* A number of a descriptor in the environment, which it is taken from; -1: it is not there. */
static int take_variable(const char *name) {
    const char *text = getenv(name);
    if (text == NULL) return -1;
    char *end;
    long number = strtol(text, &end, 10);
    bool good = *text != '\0' && *end == '\0' && number > STDERR_FILENO && number <= INT32_MAX;
    unsetenv(name);
    return good ? (int)number : -1;
}

int handed_state(void) { return take_variable(STATE_VARIABLE); }

static int read_state(struct launcher *l, int state, struct outside *outside, struct failure *why) {
    struct stat found;
    if (fstat(state, &found) != 0 || !S_ISREG(found.st_mode) || found.st_size <= 0)
        return fail(why, STEP_REEXEC, EBADF, "descriptor %d is no state of a launcher", state);
    void *bytes = mmap(NULL, (size_t)found.st_size, PROT_READ, MAP_PRIVATE, state, 0);
    if (bytes == MAP_FAILED) return fail(why, STEP_REEXEC, errno, "mmap of the state");
    int result = take_over(l, outside, bytes, (size_t)found.st_size, why);
    munmap(bytes, (size_t)found.st_size);
    return result;
}

static void close_those_of(const struct layout *layout, void *structure) {
    for (size_t i = 0; i < layout->count; i++) {
        int *fd = (int *)(void *)((uint8_t *)structure + layout->fields[i].offset);
        if (layout->fields[i].kind != FIELD_DESCRIPTOR || *fd < 0) continue;
        close(*fd);
        *fd = -1;
    }
}

/* Found, they are not needed any more: what the one that runs closes is to be closed. */
static void let_go_of_containers(struct launcher *l) {
    for (uint32_t place = 0; place < l->attempts.used; place++) {
        struct attempt *a = attempt_at(&l->attempts, place);
        if (l->attempts.ids[place] == 0) continue;
        close_those_of(&attempt_layout, a);
        for (size_t i = 0; i < a->go.nfds; i++)
            if (a->go.fds[i] >= 0) close(a->go.fds[i]);
        a->go.nfds = 0;
    }
    for (uint32_t place = 0; place < l->relays.used; place++) close_those_of(&relay_layout, &l->relays.places[place]);
}

/* What belongs to the one that runs is left alone. */
static int prove(struct launcher *l, struct outside *outside) {
    outside->notify = outside->memory_score = -1;
    spread_outside(outside);
    l->arrivals.table = -1;
    let_go_of_containers(l);
    if (setenv("NORTHSTATE_PROOF", "1", 1) != 0 || loop_open(l) != 0) return EXIT_FAILURE;
    start_reconciler(l);
    return loop_run(l);
}

static int go_on(struct launcher *l, const struct outside *outside) {
    spread_outside(outside);
    if (setns(outside->own_namespace, CLONE_NEWNS) != 0) {
        say("the launcher's own namespace: %s", strerror(errno));
        return EXIT_FAILURE;
    }
    close(outside->own_namespace);
    if (loop_open(l) != 0) return EXIT_FAILURE;
    if (resume(l) != 0) {
        say("what runs cannot be watched: %s", strerror(errno));
        return EXIT_FAILURE;
    }
    l->reexec.count++;
    arrivals_follow(&l->arrivals, l->namespace_of_reconciler);
    say("northstate %s has taken over, after %llu us without a loop", RUNTIME_VERSION,
        (unsigned long long)((monotonic_now() - l->reexec.left_ns) / MICROSECOND));
    start_reconciler(l);
    return loop_run(l);
}

int succeed(struct launcher *l, int state, char **command) {
    struct failure why = {0};
    struct outside outside;
    int proves = take_variable(PROOF_VARIABLE);
    block_signals(&l->handled_signals);
    l->descriptor_bound = find_descriptor_bound();
    int result = streams_allocate() != 0 ? fail(&why, STEP_MEMORY, errno, "the streams") : 0;
    if (result == 0) result = read_state(l, state, &outside, &why);
    if (result != 0) {
        say("the state of the launcher is not understood: %s", why.subject);
        if (proves >= 0) proving_refuses(proves, &why);
        return EXIT_FAILURE;
    }
    descriptors_close_unclaimed(proves);
    l->reexec.proves = proves;
    l->reconciler.first = NULL;
    proving_note(command);
    return proves >= 0 ? prove(l, &outside) : go_on(l, &outside);
}
