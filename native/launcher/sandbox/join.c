/*
 * What joins a container that runs. The process that does so stays outside of the container's PID namespace, where
 * nothing in the container sees it, until it has no more rights than the application: only then is the one born that
 * appears inside.
 */
#define _GNU_SOURCE
#include "join.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../inherited.h"
#include "../syscalls.h"
#include "application.h"
#include "capabilities.h"
#include "copy.h"
#include "descriptors.h"
#include "identity.h"
#include "label.h"
#include "look.h"
#include "null-devices.h"
#include "runs.h"

enum { MOST_DESCRIPTOR = 2, PROGRAM_PATH = 4096 };

static int enter_namespaces(const struct birth *birth, struct failure *why) {
    enum { ALL = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP };
    if (setns(birth->target, ALL) == 0) return 0;
    int error = errno;
    /* The init is not dumpable, so that to enter its namespaces takes the right to trace it (setns(2)). */
    const char *reason = error == EPERM && !has_capability(CAP_SYS_PTRACE) ? ": it takes CAP_SYS_PTRACE" : "";
    return fail(why, STEP_JOIN, error, "the namespaces of the container%s", reason);
}

/* Each right is used for the last time before it is given up, as with an application (application.c). */
static int become_like_application(const struct birth *birth, struct failure *why) {
    const struct ops *list = birth->prepare;
    if (run_stage(STAGE_GROUPS, list, birth, why) < 0 || run_stage(STAGE_LABEL, list, birth, why) < 0 ||
        enter_namespaces(birth, why) < 0 || run_stage(STAGE_VIEW, list, birth, why) < 0)
        return -1;
    set_plain_scheduling();
    if (run_stage(STAGE_LIMITS, list, birth, why) < 0 || change_identity(list, why) < 0 ||
        run_stage(STAGE_DIRECTORY, list, birth, why) < 0)
        return -1;
    /* Changes of ids have reset the first two. */
    if (prctl(PR_SET_DUMPABLE, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return fail(why, STEP_JOIN, errno, "no_new_privs");
    if (has_hung_up(birth->control)) _exit(1);
    return 0;
}

/* A session of its own, which the terminal controls when there is one: nobody else's can be reached through it. */
static int begin_session(const struct ops *list, struct failure *why) {
    if (setsid() < 0) return fail(why, STEP_JOIN, errno, "setsid");
    if (ops_find(list, OP_TERMINAL) != NULL && ioctl(0, TIOCSCTTY, 0) < 0)
        return fail(why, OP_TERMINAL, errno, "the controlling terminal");
    return 0;
}

static const char *path_of(char **environment) {
    static const char NAME[] = "PATH=";
    for (char **at = environment; *at != NULL; at++)
        if (strncmp(*at, NAME, sizeof NAME - 1) == 0) return *at + sizeof NAME - 1;
    return "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";
}

/* As execvp(3) does it with the PATH that is given. Comes back only in failure, with errno. */
static void execute(const struct op_exec *exec) {
    char **arguments = exec->arguments.items, **environment = exec->environment.items;
    if (strchr(exec->path, '/') != NULL) {
        execve(exec->path, arguments, environment);
        return;
    }
    int found = ENOENT;
    for (const char *at = path_of(environment), *end; *at != '\0'; at = *end == ':' ? end + 1 : end) {
        end = strchrnul(at, ':');
        char path[PROGRAM_PATH];
        int size = snprintf(path, sizeof path, "%.*s/%s", (int)(end - at), at, exec->path);
        if (size < 0 || (size_t)size >= sizeof path) continue;
        execve(path, arguments, environment);
        if (errno != ENOENT && errno != ENOTDIR) found = errno;
    }
    errno = found;
}

/* Within the PID namespace. Its copy of the control socket closes with exec. */
static _Noreturn void run_program(const struct birth *birth) {
    struct failure why = {0};
    const struct op *exec = ops_find(birth->prepare, OP_EXEC);
    tell_launcher(birth->control, (struct control_message){.kind = CONTROL_BORN});
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) {
        fail(&why, STEP_JOIN, errno, "parent-death signal");
        birth_fails(birth, &why);
    }
    if (has_hung_up(birth->control)) _exit(1);
    if (begin_session(birth->prepare, &why) < 0 || unblock_signals(&why) < 0 ||
        close_rest(birth->prepare, birth->control, &why) < 0 ||
        run_stage(STAGE_FILTER, birth->prepare, birth, &why) < 0)
        birth_fails(birth, &why);
    execute(&exec->exec);
    fail(&why, OP_EXEC, errno, "%s", exec->exec.path);
    birth_fails(birth, &why);
}

/* The new process is a child of the launcher, as this one is. */
static _Noreturn void bear_program(const struct birth *birth) {
    struct clone_args args = {.flags = CLONE_PARENT};
    long pid = sys_clone3(&args, sizeof args);
    if (pid == 0) run_program(birth);
    if (pid > 0) _exit(0);
    struct failure why = {0};
    /* ENOMEM: the init has ended meanwhile (pid_namespaces(7)). */
    fail(&why, STEP_FORK, errno, "a process in the container");
    birth_fails(birth, &why);
}

static _Noreturn void copy_as_application(const struct birth *birth) {
    struct failure why = {0};
    if (unblock_signals(&why) < 0 || close_rest(birth->prepare, birth->control, &why) < 0) birth_fails(birth, &why);
    int file = copy_open(&ops_find(birth->prepare, OP_COPY)->copy, &why);
    if (file < 0) birth_fails(birth, &why);
    tell_launcher(birth->control, (struct control_message){.kind = CONTROL_RUNNING});
    if (copy_all(&ops_find(birth->prepare, OP_COPY)->copy, file, &why) < 0) birth_fails(birth, &why);
    _exit(0);
}

static _Noreturn void look_as_application(const struct birth *birth) {
    struct failure why = {0};
    if (look_for(&ops_find(birth->prepare, OP_LOOK)->look, &why) < 0) birth_fails(birth, &why);
    _exit(0);
}

static _Noreturn void join_main(struct birth *birth) {
    struct failure why = {0};
    if (birth_settles(birth, &why) < 0 || place_descriptors(birth->prepare, &why) < 0 ||
        open_proc(birth->prepare, &birth->proc, &why) < 0 || become_like_application(birth, &why) < 0)
        birth_fails(birth, &why);
    if (ops_find(birth->prepare, OP_COPY) != NULL) copy_as_application(birth);
    if (ops_find(birth->prepare, OP_LOOK) != NULL) look_as_application(birth);
    bear_program(birth);
}

/* Who joins needs its control socket beside these. */
static int check_descriptors(const struct ops *list, struct failure *why) {
    for (uint32_t i = 0; i < list->count; i++) {
        const struct op *op = &list->items[i];
        if (op->kind == OP_DESCRIPTOR && op->descriptor.number > MOST_DESCRIPTOR)
            return fail(why, OP_DESCRIPTOR, EINVAL, "%u", op->descriptor.number);
    }
    return 0;
}

/* Our end is told who has sent what (unix(7), SO_PASSCRED). */
static int make_socket(int pair[2], int bound, struct failure *why) {
    int yes = 1;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return fail(why, STEP_CONTROL, errno, "socketpair");
    if (pair[1] < bound && setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes) == 0) return 0;
    fail(why, STEP_CONTROL, pair[1] < bound ? errno : EMFILE, "control socket");
    close(pair[0]);
    close(pair[1]);
    return -1;
}

int join_devices(struct failure *why) { return null_devices(why); }

pid_t launch_join(const struct init *target, struct ops *list, int bound, int *control, struct failure *why) {
    int pair[2];
    struct birth birth = {.prepare = list,
                          .output = {-1, -1},
                          .proc = -1,
                          .network = -1,
                          .target = target->pidfd,
                          .title = "northstate: join"};
    if (check_descriptors(list, why) < 0) return -1;
    if ((birth.devices = null_devices(why)) < 0 || make_socket(pair, bound, why) < 0) return -1;
    birth.control = pair[1];
    const struct op *into = ops_find(list, OP_CGROUP_INTO);
    struct clone_args args = {.flags = CLONE_CLEAR_SIGHAND, .exit_signal = SIGCHLD};
    if (into != NULL) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = (unsigned)into->fd;
    }
    const struct op *score = ops_find(list, OP_OOM_SCORE);
    bool exposed = expose_to_memory_killer(score != NULL ? score->oom_score.score : 0) >= 0 || score == NULL;
    pid_t pid = exposed ? (pid_t)sys_clone3(&args, sizeof args) : -1;
    int error = errno;
    if (pid == 0) join_main(&birth);
    protect_from_memory_killer();
    close(pair[1]);
    *control = pair[0];
    if (pid > 0) return pid;
    close(pair[0]);
    if (!exposed) return fail(why, OP_OOM_SCORE, error, "score %d", score->oom_score.score);
    return fail(why, into != NULL ? OP_CGROUP_INTO : STEP_CLONE, error, "clone3");
}
