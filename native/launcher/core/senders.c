#define _GNU_SOURCE
#include "senders.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    GROUPS_TEXT = 16384,
    STAT_TEXT = 1024,
    PF_EXITING = 0x4, /* of the flags in proc_pid_stat(5), as in the kernel's sched.h */
};

static int proc = -1;

void open_senders(void) { proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC); }

int *senders_proc(void) { return &proc; }

/* The file of that name in /proc/PID, terminated. Its size, or -1 and errno. */
static ssize_t read_of(pid_t process, const char *name, char *text, size_t room) {
    char path[32];
    snprintf(path, sizeof path, "%d/%s", process, name);
    int fd = proc < 0 ? -1 : openat(proc, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    size_t size = 0;
    ssize_t more = 1;
    while (more > 0 && size < room - 1)
        if ((more = read(fd, text + size, room - 1 - size)) > 0) size += (size_t)more;
    int why = errno;
    close(fd);
    errno = why;
    text[size] = '\0';
    return more < 0 || size == 0 ? -1 : (ssize_t)size;
}

static enum sender sender_unread(void) { return errno == ENOENT || errno == ESRCH ? SENDER_GONE : SENDER_ELSEWHERE; }

/* Of who is about to end, and of a zombie, cgroup v1 says the root's groups (cgroups(7)): it counts as gone already. */
static enum sender sender_outside(pid_t process) {
    char text[STAT_TEXT];
    unsigned flags = 0;
    if (read_of(process, "stat", text, sizeof text) < 0) return sender_unread();
    /* What stands in parentheses is the program's, and may have some of its own. */
    const char *rest = strrchr(text, ')');
    bool found = rest != NULL && sscanf(rest, ") %*c %*d %*d %*d %*d %*d %u", &flags) == 1;
    return found && (flags & PF_EXITING) ? SENDER_GONE : SENDER_ELSEWHERE;
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
    if (read_of(process, "cgroup", groups, sizeof groups) < 0) return sender_unread();
    if (read_of(init, "cgroup", own, sizeof own) < 0) return SENDER_ELSEWHERE;
    return lies_within(groups, own) ? SENDER_INSIDE : sender_outside(process);
}
