#define _GNU_SOURCE
#include "arrivals.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../syscalls.h"
#include "mount-table.h"
#include "say.h"
#include "sources.h"

enum { PATIENCE = 30 /* seconds that a path may take to be walked */, MOST_ARRIVALS = 4096 };

static bool is_root_shared(const char *table) {
    struct mount_line line;
    bool shared = false;
    /* The last one lies on top. */
    while (next_mount(&table, &line))
        if (same_word(line.path, "/ ")) shared = line.shared;
    return shared;
}

static void give_up(struct arrivals *a) {
    if (a->table >= 0) close(a->table);
    if (a->host >= 0) close(a->host);
    free_mount_table(a->known);
    *a = (struct arrivals){.table = -1, .host = -1};
}

void arrivals_open(struct arrivals *a) {
    *a = (struct arrivals){.table = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC),
                           .host = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC)};
    if (a->table >= 0 && a->host >= 0) a->known = read_mount_table(a->table);
    if (a->known == NULL) say("what the host mounts later is not seen: /proc/self/mountinfo: %s", strerror(errno));
    if (a->known == NULL || is_root_shared(a->known)) give_up(a);
}

int arrivals_watch(struct arrivals *a, int epoll) {
    return a->table < 0 ? 0 : source_add(epoll, a->table, EPOLLPRI, (struct tag){.source = SOURCE_MOUNTS});
}

static bool is_in(const char *table, const struct mount_line *one) {
    struct mount_line line;
    while (next_mount(&table, &line))
        if (same_word(line.id, one->id) && same_word(line.path, one->path) && same_word(line.device, one->device))
            return true;
    return false;
}

/* The lines of one table that another one lacks, those of shorter paths first: what a mount lies on comes before it. */
static size_t lines_beside(const char *table, const char *other, struct mount_line *lines) {
    size_t count = 0;
    struct mount_line line;
    while (count < MOST_ARRIVALS && next_mount(&table, &line)) {
        if (is_in(other, &line)) continue;
        size_t length = strcspn(line.path, " \n"), at = count++;
        for (; at > 0 && strcspn(lines[at - 1].path, " \n") > length; at--) lines[at] = lines[at - 1];
        lines[at] = line;
    }
    return count;
}

/* Whether the file system that lies at the path now is the one of this line. */
static bool lies_at(const struct mount_line *line, const char *path) {
    struct stat found;
    unsigned numbers[2];
    return sscanf(line->device, "%u:%u", &numbers[0], &numbers[1]) == 2 && lstat(path, &found) == 0 &&
           major(found.st_dev) == numbers[0] && minor(found.st_dev) == numbers[1];
}

/* The id of the mount that a descriptor is on, as the table has it; -1 when it is not told. */
static int mount_id_of(int fd) {
    char name[64], text[256];
    snprintf(name, sizeof name, "/proc/self/fdinfo/%d", fd);
    int info = open(name, O_RDONLY | O_CLOEXEC);
    ssize_t size = info < 0 ? -1 : read(info, text, sizeof text - 1);
    if (info >= 0) close(info);
    if (size <= 0) return -1;
    text[size] = '\0';
    const char *found = strstr(text, "mnt_id:");
    return found == NULL ? -1 : atoi(found + sizeof "mnt_id:" - 1);
}

/* A detached copy of a mount of the host, in whose namespace this is; -1 when another one lies over it by now. */
static int copy_of(const struct mount_line *line, const char *path) {
    int place = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (place < 0) return -1;
    int tree = -1;
    if (mount_id_of(place) == atoi(line->id))
        tree = sys_open_tree(place, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    close(place);
    return tree;
}

static bool is_same_file(int fd, const char *path) {
    struct stat one, other;
    return fstat(fd, &one) == 0 && lstat(path, &other) == 0 && one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

static void bring(const struct mount_line *line, int host, int reconciler) {
    char path[PATH_MAX];
    if (!mount_path(line->path, path, sizeof path) || setns(host, CLONE_NEWNS) != 0) return;
    int tree = copy_of(line, path);
    if (setns(reconciler, CLONE_NEWNS) == 0 && tree >= 0 && !is_same_file(tree, path) &&
        sys_move_mount(tree, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) != 0)
        say("what the host has mounted on %s is not seen: %s", path, strerror(errno));
    if (tree >= 0) close(tree);
}

/* Everything that is walked to here may take as long as a file system of the host likes; the launcher does not wait. */
static _Noreturn void follow(const struct arrivals *a, const char *now, int reconciler, pid_t launcher) {
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    alarm(PATIENCE);
    struct mount_line *lines = calloc(MOST_ARRIVALS, sizeof *lines);
    if (getppid() != launcher || lines == NULL || setns(reconciler, CLONE_NEWNS) != 0) _exit(EXIT_FAILURE);
    char path[PATH_MAX];
    for (size_t i = lines_beside(a->known, now, lines); i > 0; i--)
        if (mount_path(lines[i - 1].path, path, sizeof path) && lies_at(&lines[i - 1], path))
            umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW); /* EINVAL where it was never brought */
    size_t count = lines_beside(now, a->known, lines);
    for (size_t i = 0; i < count; i++) bring(&lines[i], a->host, reconciler);
    _exit(EXIT_SUCCESS);
}

/* The launcher's memory is not copied to a child (memory.h): it has the struct on its stack, and both tables lent. */
static pid_t fork_follower(const struct arrivals *a, char *now, int reconciler) {
    struct arrivals copy = *a;
    pid_t launcher = getpid(), pid = -1;
    if (lend_mount_table(now, true) == 0 && lend_mount_table(copy.known, true) == 0) pid = fork();
    if (pid == 0) follow(&copy, now, reconciler, launcher);
    int error = errno;
    lend_mount_table(now, false);
    lend_mount_table(copy.known, false);
    errno = error;
    return pid;
}

void arrivals_follow(struct arrivals *a, int reconciler) {
    a->due = true;
    if (a->table < 0 || a->child != 0) return;
    char *now = read_mount_table(a->table);
    if (now == NULL) {
        say("what the host has mounted is not seen: its mount table: %s", strerror(errno));
        return;
    }
    a->due = false;
    if (strcmp(now, a->known) == 0) {
        free_mount_table(now);
        return;
    }
    pid_t pid = fork_follower(a, now, reconciler);
    if (pid < 0) {
        say("what the host has mounted is not seen yet: fork: %s", strerror(errno));
        free_mount_table(now);
        return;
    }
    a->child = pid;
    free_mount_table(a->known);
    a->known = now;
}

bool arrivals_reap(struct arrivals *a, int reconciler, pid_t pid) {
    int status;
    if (pid != a->child || waitpid(pid, &status, WNOHANG) != pid) return false;
    a->child = 0;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != EXIT_SUCCESS) say("what the host has mounted was not all brought");
    if (a->due) arrivals_follow(a, reconciler);
    return true;
}
