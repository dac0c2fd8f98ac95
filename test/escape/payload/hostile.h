/* A hostile application: what it tries stands in acts-*.c, what it finds that it could do in report*.c. */
#pragma once

#include <stddef.h>

/* An attack: does it, and tells of each step with `tell`. */
typedef void act(char **arguments);

struct named_act {
    const char *name;
    act *run;
};

/* Lists that end with a name of NULL. */
extern const struct named_act runtime_acts[], file_acts[], kernel_acts[], resource_acts[], console_acts[];

/* Writes `what: done`, or the name of errno when `result` is negative; gives `result` back. */
long tell(const char *what, long result);

/* Runs a function in a child, and gives how it ended (wait(2)). */
int in_child(void (*run)(void *), void *argument);

/* What /proc does not tell: limits of identity, devices, what can be written, hidden paths, system calls. */
void report(void);
void report_files(void);
void report_calls(void);
