#define _GNU_SOURCE
#include "senders.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { GROUPS_TEXT = 16384 };

static int proc = -1;

void open_senders(void) { proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC); }

int *senders_proc(void) { return &proc; }

/* /proc/PID/cgroup, terminated. Its size, or -1 and errno. */
static ssize_t read_groups(pid_t process, char *text) {
    char path[32];
    snprintf(path, sizeof path, "%d/cgroup", process);
    int fd = proc < 0 ? -1 : openat(proc, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    ssize_t size = 0, more = 1;
    while (more > 0 && size < GROUPS_TEXT - 1)
        if ((more = read(fd, text + size, (size_t)(GROUPS_TEXT - 1 - size))) > 0) size += more;
    close(fd);
    text[size] = '\0';
    return more < 0 || size == 0 ? -1 : size;
}

/* Line by line: the same group, or one below it. */
static bool lies_within(const char *groups, const char *init) {
    while (*init != '\0') {
        size_t whole = strcspn(init, "\n"), size = whole;
        if (size > 0 && init[size - 1] == '/') size--;
        if (strncmp(groups, init, size) != 0) return false;
        groups += size;
        if (*groups != '/' && *groups != '\n') return false;
        groups += strcspn(groups, "\n");
        if (*groups++ != '\n') return false;
        init += whole;
        if (*init++ != '\n') return false;
    }
    return *groups == '\0';
}

enum sender sender_of(pid_t process, pid_t init) {
    static char groups[GROUPS_TEXT], own[GROUPS_TEXT];
    if (read_groups(process, groups) < 0) return errno == ENOENT || errno == ESRCH ? SENDER_GONE : SENDER_ELSEWHERE;
    if (read_groups(init, own) < 0) return SENDER_ELSEWHERE;
    return lies_within(groups, own) ? SENDER_INSIDE : SENDER_ELSEWHERE;
}
