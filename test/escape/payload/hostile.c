/*
 * The program: `escape RUN ACT [ARGUMENT...]` writes `run RUN`, and what came of the act. Started in any other way, as
 * the init of somebody's manifest, it writes its report and waits to be looked at.
 */
#define _GNU_SOURCE
#include "hostile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE = 20 /* seconds */ };

long tell(const char *what, long result) {
    const char *name = result < 0 ? strerrorname_np(errno) : "done";
    printf("%s: %s\n", what, name != NULL ? name : "an unknown error");
    return result;
}

int in_child(void (*run)(void *), void *argument) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        run(argument);
        fflush(stdout);
        _exit(0);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, __WALL) < 0) {
        perror("a child");
        exit(EXIT_FAILURE);
    }
    return status;
}

static act *find(const char *name) {
    const struct named_act *const lists[] = {runtime_acts, file_acts, kernel_acts, resource_acts, console_acts};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        for (const struct named_act *each = lists[i]; each->name != NULL; each++)
            if (strcmp(each->name, name) == 0) return each->run;
    return NULL;
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    act *run = argc > 2 ? find(argv[2]) : NULL;
    if (run == NULL) {
        report();
        puts("end");
        for (;;) pause();
    }
    printf("run %s\n", argv[1]);
    alarm(PATIENCE);
    run(argv + 3);
    fflush(stdout);
    return 0;
}
