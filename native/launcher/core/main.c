/* The launcher: root of the process tree, parent of the reconciler and of every container. It never decides. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "../copier/copier.h"
#include "../inherited.h"
#include "../memory.h"
#include "../reexec/successor.h"
#include "clock.h"
#include "host.h"
#include "locks.h"
#include "loop.h"
#include "namespaces.h"
#include "notify.h"
#include "say.h"
#include "seal.h"
#include "senders.h"
#include "streams.h"
#include "supervise.h"

struct arguments {
    const char *state_dir;
    const char *run_dir;
    const char *name;
    const char *patience; /* seconds */
    const char *first;
    char **command;
};

static int parse_arguments(char **argv, struct arguments *arguments) {
    *arguments = (struct arguments){.name = "northstate"};
    for (char **at = argv + 1; *at != NULL; at++) {
        const char **value = NULL;
        if (strcmp(*at, "--") == 0) {
            arguments->command = at + 1;
            break;
        }
        if (strcmp(*at, "--state-dir") == 0) value = &arguments->state_dir;
        if (strcmp(*at, "--run-dir") == 0) value = &arguments->run_dir;
        if (strcmp(*at, "--name") == 0) value = &arguments->name;
        if (strcmp(*at, "--patience") == 0) value = &arguments->patience;
        if (strcmp(*at, "--first") == 0) value = &arguments->first;
        if (value == NULL || at[1] == NULL) {
            say("%s: not an option, or it lacks its value", *at);
            return -1;
        }
        *value = *++at;
    }
    if ((arguments->state_dir == NULL) == (arguments->run_dir == NULL) && arguments->command != NULL &&
        arguments->command[0] != NULL) {
        return 0;
    }
    say("usage: northstate-launcher [--state-dir DIR --run-dir DIR] [--first PROGRAM] [--name NAME] "
        "[--patience SECONDS] -- RECONCILER [ARGUMENT...]");
    return -1;
}

/* 0 when it is none. */
static uint32_t patience_of(const char *seconds) {
    if (seconds == NULL) return PATIENCE_DEFAULT;
    char *end;
    unsigned long value = strtoul(seconds, &end, 10);
    return *end == '\0' && value > 0 && value <= UINT32_MAX / 1000 ? (uint32_t)value * 1000 : 0;
}

/* `first` with the reconciler's command line behind it, as whoever starts before the reconciler is executed. */
static char **command_of(const char *first, char **command) {
    if (first == NULL) return NULL;
    size_t count = 0;
    while (command[count] != NULL) count++;
    char **words = calloc(count + 2, sizeof *words);
    if (words == NULL) return NULL;
    words[0] = strdup(first);
    for (size_t i = 0; i < count; i++) words[i + 1] = command[i];
    return words;
}

/*
 * Whose disk is read-only comes up with what it has; who else would use this directory uses our other one, too. Without
 * directories the reconciler names them (R_LOCK).
 */
static int lock_directories(struct locks *locks, const struct arguments *arguments) {
    if (arguments->state_dir == NULL) return 0;
    if (lock_directory(locks, arguments->state_dir) == LOCK_REFUSED) return -1;
    return lock_directory(locks, arguments->run_dir) == LOCK_TAKEN ? 0 : -1;
}

static int allocate(struct launcher *l) {
    if (watches_open(&l->watches) == 0 && keeps_open(&l->keeps) == 0 && relays_open(&l->relays) == 0 &&
        attempts_open(&l->attempts) == 0 && inbox_open(&l->reconciler.in) == 0 && outbox_open(&l->reconciler.out) == 0)
        return 0;
    say("out of memory");
    return -1;
}

int main(int argc, char **argv) {
    /* The same program, for the reconciler to have a tree copied. */
    if (argc > 1 && (strcmp(argv[1], "copy-tree") == 0 || strcmp(argv[1], "measure-tree") == 0))
        return copier_main(argv + 1);
    struct arguments arguments;
    if (parse_arguments(argv, &arguments) != 0 || check_kernel() != 0 || check_root() != 0 || seal_program(argv) != 0)
        return EXIT_FAILURE;

    struct launcher *l = dontfork_alloc(sizeof *l);
    if (l == NULL) return EXIT_FAILURE;
    l->liveness.patience = patience_of(arguments.patience);
    if (l->liveness.patience == 0) {
        say("--patience %s: a number of seconds is needed", arguments.patience);
        return EXIT_FAILURE;
    }
    note_strings(argv);
    l->pid = getpid();
    l->started_ns = boottime_now();
    l->reconciler.command = arguments.command;
    l->reconciler.first = command_of(arguments.first, arguments.command);
    l->reconciler.directory = getcwd(NULL, 0);
    l->reconciler.socket = l->reconciler.pidfd = l->prober.socket = -1;
    l->reexec.verdict = l->reexec.program = l->reexec.proves = -1;
    prctl(PR_SET_NAME, arguments.name, 0, 0, 0);
    int state = handed_state();
    if (state >= 0) return allocate(l) == 0 ? succeed(l, state, argv) : EXIT_FAILURE;

    if (reset_process(&l->handled_signals) != 0) return EXIT_FAILURE;
    l->terminal = has_terminal();
    l->descriptor_bound = find_descriptor_bound();
    if (lock_directories(&l->locks, &arguments) != 0) return EXIT_FAILURE;
    notify_open();
    open_senders();
    if (streams_open() != 0) return EXIT_FAILURE;
    arrivals_open(&l->arrivals);
    if ((l->namespace_of_reconciler = make_reconciler_namespace()) < 0) return EXIT_FAILURE;
    if (enter_minimal_namespace() != 0) return EXIT_FAILURE;
    if (allocate(l) != 0 || loop_open(l) != 0) return EXIT_FAILURE;

    /* What came while the namespace was made. */
    arrivals_follow(&l->arrivals, l->namespace_of_reconciler);
    start_reconciler(l);
    return loop_run(l);
}
