#define _GNU_SOURCE
#include "inherited.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { APPLICATION_FILES = 1024, STACK = 8 << 20, AHEAD_OF_CONTAINERS = 10 /* nice levels */ };

/* A soft limit that the starter's shell happened to have must not end the runtime: up to the hard one it may go. */
void raise_limits(void) {
    static const int RAISED[] = {RLIMIT_CPU, RLIMIT_FSIZE, RLIMIT_DATA, RLIMIT_AS, RLIMIT_NOFILE};
    struct rlimit limit;
    for (size_t i = 0; i < sizeof RAISED / sizeof RAISED[0]; i++) {
        if (getrlimit((__rlimit_resource_t)RAISED[i], &limit) != 0) continue;
        limit.rlim_cur = limit.rlim_max;
        setrlimit((__rlimit_resource_t)RAISED[i], &limit);
    }
    if (getrlimit(RLIMIT_STACK, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max < STACK ? limit.rlim_max : STACK;
        setrlimit(RLIMIT_STACK, &limit);
    }
}

void restore_file_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max < APPLICATION_FILES ? limit.rlim_max : APPLICATION_FILES;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* What the launcher was started with; a container's own. */
static int started_priority;

/* Where the kernel schedules by session (sched(7), autogroup), one is raised by itself. */
static void raise_session(void) {
    int fd = open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC);
    if (fd < 0) return;
    dprintf(fd, "%d", -AHEAD_OF_CONTAINERS);
    close(fd);
}

/*
 * The launcher's short work comes before what runs in the containers, so that one that takes every processor can still
 * be stopped. The reconciler's is longer, and goes at the containers' pace. Without CAP_SYS_NICE it stays as it was.
 */
void raise_priority(void) {
    started_priority = getpriority(PRIO_PROCESS, 0);
    setpriority(PRIO_PROCESS, 0, started_priority - AHEAD_OF_CONTAINERS);
    raise_session();
}

void restore_priority(void) { setpriority(PRIO_PROCESS, 0, started_priority); }

/* The strings of the launcher's arguments and environment, which the kernel puts in one piece (execve(2)). */
static struct {
    char *begin, *end;
} inherited_strings;

void note_strings(char **arguments) {
    inherited_strings.begin = inherited_strings.end = arguments[0];
    char **lists[] = {arguments, environ};
    for (size_t i = 0; i < 2; i++)
        for (char **at = lists[i]; *at == inherited_strings.end; at++) inherited_strings.end += strlen(*at) + 1;
}

void forget_strings(void) {
    memset(inherited_strings.begin, 0, (size_t)(inherited_strings.end - inherited_strings.begin));
}
