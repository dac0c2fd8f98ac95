#define _GNU_SOURCE
#include "signal-name.h"

#include <signal.h>
#include <stddef.h>
#include <stdio.h>

#define NAMED(signal) [signal] = #signal

/* sigabbrev_np(3) is newer than the oldest C library. */
static const char *const names[] = {
    NAMED(SIGHUP),  NAMED(SIGINT),    NAMED(SIGQUIT), NAMED(SIGILL),  NAMED(SIGTRAP),   NAMED(SIGABRT), NAMED(SIGBUS),
    NAMED(SIGFPE),  NAMED(SIGKILL),   NAMED(SIGUSR1), NAMED(SIGSEGV), NAMED(SIGUSR2),   NAMED(SIGPIPE), NAMED(SIGALRM),
    NAMED(SIGTERM), NAMED(SIGSTKFLT), NAMED(SIGCHLD), NAMED(SIGCONT), NAMED(SIGSTOP),   NAMED(SIGTSTP), NAMED(SIGTTIN),
    NAMED(SIGTTOU), NAMED(SIGURG),    NAMED(SIGXCPU), NAMED(SIGXFSZ), NAMED(SIGVTALRM), NAMED(SIGPROF), NAMED(SIGWINCH),
    NAMED(SIGIO),   NAMED(SIGPWR),    NAMED(SIGSYS),
};

const char *signal_name(int number) {
    bool known = number > 0 && (size_t)number < sizeof names / sizeof names[0];
    return known && names[number] != NULL ? names[number] : "a real-time signal";
}

const char *end_text(bool exited, int value, char space[END_TEXT]) {
    if (!exited) return signal_name(value);
    snprintf(space, END_TEXT, "exit code %d", value);
    return space;
}
