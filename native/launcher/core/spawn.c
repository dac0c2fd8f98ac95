#define _GNU_SOURCE
#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../inherited.h"
#include "../syscalls.h"
#include "say.h"
#include "sources.h"

enum { SOCKET_NUMBER = 3, EXIT_UNSPAWNED = 127 };

/* Of the environment of one that has a higher priority than it is to keep (native/priority.ts). */
static const char RAISED_FROM[] = "NORTHSTATE_RAISED_FROM";

/* What the child needs: it has no copy of the launcher's own memory. */
struct spawn {
    pid_t launcher;
    int mount_namespace;
    int socket;
    const char *directory;
    char **command;
    bool is_boot; /* no container is there yet but what it starts */
    int kept[KEEP_LIMIT];
    int kept_end;
};

/* Moves a descriptor above all numbers that are given out, so that dup2 overwrites none that is still needed. */
static int lift(const struct spawn *s, int fd) { return fcntl(fd, F_DUPFD_CLOEXEC, KEEP_FIRST_NUMBER + s->kept_end); }

static int place_descriptors(struct spawn *s) {
    for (int i = 0; i < s->kept_end; i++)
        if (s->kept[i] >= 0 && (s->kept[i] = lift(s, s->kept[i])) < 0) return -1;
    for (int i = 0; i < s->kept_end; i++)
        if (s->kept[i] >= 0 && dup2(s->kept[i], KEEP_FIRST_NUMBER + i) < 0) return -1;
    return dup2(s->socket, SOCKET_NUMBER);
}

static _Noreturn void become_reconciler(struct spawn *s) {
    sigset_t none;
    sigemptyset(&none);
    const char *step = "mount namespace";
    if ((s->socket = lift(s, s->socket)) >= 0 && setns(s->mount_namespace, CLONE_NEWNS) == 0) {
        if (s->directory == NULL || chdir(s->directory) != 0) (void)!chdir("/");
        step = "descriptors";
        if (place_descriptors(s) >= 0) {
            step = s->command[0];
            sigprocmask(SIG_SETMASK, &none, NULL);
            setenv("UV_THREADPOOL_SIZE", "32", 1);
            setenv("NORTHSTATE_LAUNCHER_FD", "3", 1);
            unsetenv("NOTIFY_SOCKET");
            unsetenv("WATCHDOG_USEC");
            unsetenv("WATCHDOG_PID");
            unsetenv(RAISED_FROM);
            /*
             * A signal to the launcher's process group (Ctrl-C) is the launcher's to answer, and no terminal is in
             * reach.
             */
            setsid();
            if (s->is_boot)
                keep_priority(RAISED_FROM);
            else
                restore_priority();
            /* The launcher may have died before the death signal was asked for. */
            prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
            if (getppid() == s->launcher) execvp(s->command[0], s->command);
        }
    }
    say("the reconciler cannot be started: %s: %s", step, strerror(errno));
    _exit(EXIT_UNSPAWNED);
}

enum spawned spawn_reconciler(struct launcher *l) {
    struct reconciler *r = &l->reconciler;
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) return SPAWN_FAILED;
    struct spawn s = {.launcher = l->pid,
                      .mount_namespace = l->namespace_of_reconciler,
                      .socket = pair[1],
                      .directory = r->directory,
                      .command = r->is_first ? r->first : r->command,
                      .is_boot = r->is_first || r->starts == 1,
                      .kept_end = (int)l->keeps.end};
    for (int i = 0; i < s.kept_end; i++) s.kept[i] = l->keeps.places[i].taken ? l->keeps.places[i].fd : -1;
    pid_t pid = fork();
    if (pid == 0) become_reconciler(&s);
    int error = errno;
    close(pair[1]);
    if (pid < 0) {
        close(pair[0]);
        errno = error;
        return SPAWN_FAILED;
    }
    r->pid = pid;
    r->pidfd = sys_pidfd_open(pid);
    r->socket = pair[0];
    r->interest = EPOLLIN;
    if (r->pidfd < 0 || source_add(l->epoll, r->pidfd, EPOLLIN, (struct tag){.source = SOURCE_RECONCILER}) != 0 ||
        source_add(l->epoll, r->socket, r->interest, (struct tag){.source = SOURCE_SOCKET}) != 0)
        return SPAWN_UNWATCHED;
    return SPAWNED;
}
