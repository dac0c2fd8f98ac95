#define _GNU_SOURCE
#include "takeover.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../core/clock.h"
#include "../core/say.h"
#include "../core/service.h"
#include "../core/supervise.h"
#include "../syscalls.h"
#include "handover.h"
#include "pass-on.h"
#include "resume.h"

/* Its command line as execve(2) wants it; NULL: no memory. */
static char **words_of(const struct reexec *r) {
    size_t count = 0;
    for (size_t i = 0; i < r->command_size; i++)
        if (r->command[i] == '\0') count++;
    char **words = calloc(count + 1, sizeof *words);
    char *at = r->command;
    for (size_t i = 0; words != NULL && i < count; i++) {
        words[i] = at;
        at += strlen(at) + 1;
    }
    return words;
}

/*
 * The program is loaded where the host's files are, in the reconciler's namespace, and goes back into ours, whose
 * descriptor it has. Signals stay blocked and pending, and children are told by the kernel until somebody waits for
 * them: so nothing of this moment is lost. Comes back with what has failed.
 */
static void execute(struct launcher *l, const struct outside *outside, char **words, struct failure *why) {
    size_t count;
    int *fds = descriptors_of(l, outside, &count);
    int state = fds == NULL ? fail(why, STEP_MEMORY, errno, "the descriptors") : hand_over(l, outside, why);
    if (state >= 0) {
        if (setns(l->namespace_of_reconciler, CLONE_NEWNS) != 0 || pass_on(fds, count, state, -1) != 0) {
            fail(why, STEP_REEXEC, errno, "handing the state over");
        } else {
            sys_execveat(l->reexec.program, words, environ);
            fail(why, STEP_REEXEC, errno, "executing it");
        }
        pass_nothing(fds, count, state);
        if (setns(outside->own_namespace, CLONE_NEWNS) != 0) say("the namespace is lost: %s", strerror(errno));
        close(state);
    }
    free(fds);
}

static void give_way(struct launcher *l) {
    struct failure why = {0};
    l->reexec.left_ns = monotonic_now();
    struct outside outside = gather_outside();
    char **words = words_of(&l->reexec);
    service_reloading(l);
    if (l->prober.pid > 0) kill(l->prober.pid, SIGKILL);
    if (outside.own_namespace < 0 || words == NULL)
        fail(&why, STEP_REEXEC, errno, "/proc/self/ns/mnt");
    else
        execute(l, &outside, words, &why);
    say("the successor cannot take over: %s: %s; everything goes on without it", why.subject, strerror(why.error));
    if (outside.own_namespace >= 0) close(outside.own_namespace);
    free(words);
}

void takeover_turn(struct launcher *l) {
    if (!l->reexec.due) return;
    bool ends = l->phase != PHASE_RUNNING || l->terminating != 0;
    if (l->reconciler.pid != 0 && !ends) {
        retire_reconciler(l);
        return;
    }
    if (!ends) give_way(l);
    l->reexec.due = false;
    if (l->reconciler.pid == 0 && l->phase == PHASE_RUNNING) start_reconciler(l);
}
