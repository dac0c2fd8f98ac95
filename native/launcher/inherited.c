#define _GNU_SOURCE
#include "inherited.h"

#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    APPLICATION_FILES = 1024,
    STACK = 8 << 20,
    AHEAD_OF_CONTAINERS = 10, /* nice levels */
    PROTECTED = -900,         /* oom_score_adj */
    CORE_FILTER = 0x33,
};

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

static struct inherited inherited = {.memory_score = -1};

struct inherited *inherited_state(void) { return &inherited; }

/*
 * Where the kernel schedules by session (sched(7), autogroup), one is raised by itself: our own, not that of a shell,
 * whose other programs would go before the reconciler.
 */
static void raise_session(void) {
    if (getsid(0) != getpid()) return;
    int fd = open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC);
    if (fd < 0) return;
    dprintf(fd, "%d", -AHEAD_OF_CONTAINERS);
    close(fd);
}

/*
 * The launcher's short work comes before what runs in the containers, so that one that takes every processor can still
 * be stopped. The reconciler's is longer, and goes at the containers' pace: but for the first, which whatever else
 * boots would hold up before they are there. Without CAP_SYS_NICE it stays as it was.
 */
void raise_priority(void) {
    inherited.started_priority = getpriority(PRIO_PROCESS, 0);
    setpriority(PRIO_PROCESS, 0, inherited.started_priority - AHEAD_OF_CONTAINERS);
    raise_session();
}

void restore_priority(void) { setpriority(PRIO_PROCESS, 0, inherited.started_priority); }

void keep_priority(const char *variable) {
    char level[16];
    snprintf(level, sizeof level, "%d", inherited.started_priority);
    setenv(variable, level, 1);
    raise_session();
}

void set_plain_scheduling(void) {
    struct sched_param plain = {.sched_priority = 0};
    cpu_set_t all;
    memset(&all, 0xff, sizeof all); /* of these the kernel takes those that are there, and in the cpuset */
    sched_setscheduler(0, SCHED_OTHER, &plain);
    sched_setaffinity(0, sizeof all, &all);
    setpriority(PRIO_PROCESS, 0, 0);
    syscall(SYS_ioprio_set, 1 /* IOPRIO_WHO_PROCESS */, 0, 0);
}

/* Around each fork. dprintf would write to pages of the C library's, which the inits share with the launcher. */
static bool set_memory_score(int score) {
    char text[16];
    int size = snprintf(text, sizeof text, "%d", score);
    return inherited.memory_score >= 0 && write(inherited.memory_score, text, (size_t)size) == size;
}

void open_memory_score(void) {
    char text[16] = "";
    inherited.memory_score = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
    if (inherited.memory_score < 0 || read(inherited.memory_score, text, sizeof text - 1) < 0) return;
    inherited.own_score = set_memory_score(PROTECTED) ? PROTECTED : (int)strtol(text, NULL, 10);
}

int expose_to_memory_killer(int score) { return inherited.memory_score < 0 || set_memory_score(score) ? 0 : -1; }

void protect_from_memory_killer(void) { set_memory_score(inherited.own_score); }

void forget_memory_score(void) { inherited.memory_score = -1; }

void reset_core_filter(void) {
    int fd = open("/proc/self/coredump_filter", O_WRONLY | O_CLOEXEC);
    if (fd < 0) return;
    dprintf(fd, "%#x", CORE_FILTER);
    close(fd);
}

/* The strings of the launcher's arguments and environment, which the kernel puts in one piece (execve(2)). */
static struct {
    char *begin, *end;
    size_t arguments; /* bytes of them that are arguments */
} inherited_strings;

void note_strings(char **arguments) {
    inherited_strings.begin = inherited_strings.end = arguments[0];
    char **lists[] = {arguments, environ};
    for (size_t i = 0; i < 2; i++) {
        for (char **at = lists[i]; *at == inherited_strings.end; at++) inherited_strings.end += strlen(*at) + 1;
        if (i == 0) inherited_strings.arguments = (size_t)(inherited_strings.end - inherited_strings.begin);
    }
}

const char *noted_strings(void) { return inherited_strings.begin; }

void replace_strings(const char *title) {
    size_t room = (size_t)(inherited_strings.end - inherited_strings.begin);
    memset(inherited_strings.begin, 0, room);
    size_t last = inherited_strings.arguments - 1;
    if (room == 0 || last == 0) return;
    memcpy(inherited_strings.begin, title, strnlen(title, last - 1));
    /* The kernel shows as much as the arguments took, or, where that does not end with a zero, up to the first one. */
    inherited_strings.begin[last] = 1;
}
