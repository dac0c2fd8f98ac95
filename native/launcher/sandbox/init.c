/*
 * PID 1 of a container: makes the sandbox, waits for go, starts the application, then reaps, passes signals and
 * reports.
 */
#define _GNU_SOURCE
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdalign.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../ancillary.h"
#include "../inherited.h"
#include "../memory.h"
#include "../syscalls.h"
#include "application.h"
#include "capabilities.h"
#include "descriptors.h"
#include "identity.h"
#include "label.h"
#include "mounts.h"
#include "network.h"
#include "notify-socket.h"
#include "runs.h"

enum { APPLICATION_STACK = 64 << 10 };

/* From here on only what the application needs is open, and no way back to the launcher but the control socket. */
static int keep_for_application(const struct birth *birth, struct failure *why) {
    struct kept kept = {.fds = {0, 1, 2}, .count = 3};
    keep_descriptor(&kept, birth->control);
    keep_descriptor(&kept, birth->output[0]);
    keep_descriptor(&kept, birth->output[1]);
    keep_descriptor(&kept, birth->proc);
    keep_descriptor(&kept, *birth->notify);
    if (close_others(&kept) < 0) return fail(why, STEP_INIT, errno, "closing descriptors");
    return 0;
}

static bool has_message(int control) {
    struct pollfd there = {.fd = control, .events = POLLIN};
    return poll(&there, 1, 0) > 0 && there.revents & POLLIN;
}

/* The go list and its descriptors, as one message. Ends the init when the launcher closes its end instead. */
static struct ops *receive_go(int control, uint8_t *frame, int *fds, struct failure *why) {
    alignas(struct cmsghdr) char space[CMSG_SPACE(FRAME_FDS * sizeof(int))];
    struct iovec part = {.iov_base = frame, .iov_len = FRAME_LIMIT};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    ssize_t size = recvmsg(control, &message, MSG_CMSG_CLOEXEC);
    if (size == 0) _exit(0);
    if (size < 0 || message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
        fail(why, STEP_CONTROL, size < 0 ? errno : EMSGSIZE, "receiving the go list");
        return NULL;
    }
    struct cursor c = cursor_over(frame, (size_t)size);
    return ops_parse(&c, fds, attached_fds(&message, fds), LIST_GO, why);
}

int run_owner(const struct op *op, const struct birth *birth, struct failure *why) {
    /* The mode first: a change of the owner never opens the directory to more than the new one allows. */
    if (fchmod(op->fd, op->owner.mode) < 0) return fail(why, OP_OWNER, errno, "mode %o", op->owner.mode);
    if (fchown(op->fd, op->owner.uid, op->owner.gid) == 0) return 0;
    return fail(why, OP_OWNER, errno, "%u:%u", op->owner.uid, op->owner.gid);
}

int run_write(const struct op *op, const struct birth *birth, struct failure *why) {
    ssize_t written = write(op->fd, op->write.bytes.data, op->write.bytes.size);
    if (written >= 0 && (size_t)written == op->write.bytes.size) return 0;
    return fail(why, OP_WRITE, written < 0 ? errno : EIO, "%.*s to %s", (int)op->write.bytes.size, op->write.bytes.data,
                op->write.path);
}

/*
 * From here on it is the container that works, in a session (and with it what the scheduler takes for one) of its own.
 * Until now it was the runtime, which goes before containers that take every processor.
 */
static int leave_launcher(struct failure *why) {
    set_plain_scheduling();
    return setsid() < 0 ? fail(why, STEP_INIT, errno, "setsid") : 0;
}

static int run_application(void *argument) {
    become_application(argument);
    _exit(1);
}

/*
 * Forks the application and gives its pid when its exec is reached, else -1 and the failure. As with vfork(2) it runs
 * in this process's memory until then: nothing is copied, and what it reports cannot be lost or half written.
 */
static pid_t start_application(const struct birth *birth, const struct ops *go, struct failure *why) {
    char *stack = spec_alloc(APPLICATION_STACK);
    if (stack == NULL) return fail(why, STEP_MEMORY, errno, "stack");
    /* Stays until the moment before exec: a child that dies on its way has not reached it. */
    struct application application = {.birth = birth, .go = go, .why = {.step = STEP_INIT, .error = ECHILD}};
    pid_t pid = clone(run_application, stack + APPLICATION_STACK, CLONE_VM | CLONE_VFORK | SIGCHLD, &application);
    int error = errno;
    spec_free(stack, APPLICATION_STACK);
    if (pid < 0) return fail(why, STEP_FORK, error, "application");
    if (application.why.step == 0) return pid;
    *why = application.why;
    return -1;
}

/*
 * The application's process id, as that of the sender, which takes CAP_SYS_ADMIN. Not before exec: the launcher, which
 * it wakes, would take a processor from the application's way there.
 */
static int tell_application(int control, pid_t application, struct failure *why) {
    struct control_message message = {.kind = CONTROL_APPLICATION};
    struct ucred who = {.pid = application, .uid = getuid(), .gid = getgid()};
    alignas(struct cmsghdr) char space[CMSG_SPACE(sizeof who)] = {0};
    struct iovec part = {.iov_base = &message, .iov_len = sizeof message};
    struct msghdr packet = {.msg_iov = &part, .msg_iovlen = 1};
    attach(&packet, space, SCM_CREDENTIALS, &who, sizeof who);
    if (sendmsg(control, &packet, MSG_NOSIGNAL) >= 0) return 0;
    return fail(why, STEP_CONTROL, errno, "saying who the application is");
}

/*
 * The init has nothing left to do that needs a file or the specification, and no right but CAP_KILL: an application
 * that changes its ids gets its signals still. That right reaches no further than the PID namespace does.
 */
static int retire(const struct birth *birth, struct failure *why) {
    struct kept kept = {.fds = {birth->control}, .count = 1};
    if (close_others(&kept) < 0) return fail(why, STEP_INIT, errno, "closing descriptors");
    const struct op *ids = ops_find(birth->prepare, OP_IDS);
    if (prctl(PR_SET_KEEPCAPS, 1) < 0) return fail(why, STEP_INIT, errno, "keeping capabilities");
    if (ids != NULL && change_ids(&ids->ids, why) < 0) return -1;
    if (keep_capability(CAP_KILL) < 0) return fail(why, STEP_INIT, errno, "dropping capabilities");
    /* Set again: changes of ids, the application's in this very memory among them, have reset both. */
    if (prctl(PR_SET_DUMPABLE, 0) < 0) return fail(why, STEP_INIT, errno, "dumpable");
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) return fail(why, STEP_INIT, errno, "parent-death signal");
    /*
     * While it was reset the launcher may have died, and an init that was just being born may still hold the other end
     * of the socket, so that the next message finds nothing wrong: SIGIO tells when that one is closed too (fcntl(2)).
     */
    if (fcntl(birth->control, F_SETOWN, getpid()) < 0 || fcntl(birth->control, F_SETFL, O_ASYNC) < 0)
        return fail(why, STEP_INIT, errno, "control socket");
    return 0;
}

/*
 * Kills what the application has left and waits until it is gone. What the launcher is told of the end then holds for
 * all of the container: the next instance need not wait until the kernel has taken the namespaces apart.
 */
static void end_others(void) {
    if (kill(-1, SIGKILL) < 0 && errno == ESRCH) return;
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR) continue;
}

/* Waits for everything that has ended. When the application is among it, ends the rest, tells how, and ends itself. */
static void reap(int control, pid_t application) {
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid != application) continue;
        end_others();
        bool signaled = WIFSIGNALED(status);
        tell_launcher(control, (struct control_message){
                                   .kind = CONTROL_EXIT,
                                   .exit_kind = signaled ? EXIT_SIGNAL : EXIT_CODE,
                                   .exit_value = (uint32_t)(signaled ? WTERMSIG(status) : WEXITSTATUS(status)),
                               });
        _exit(0);
    }
}

/*
 * Signals from outside of the PID namespace (their sender has no pid here) go to the whole process group. What comes
 * from inside was sent to a group that init is in, or to the init itself, and is not passed on a second time.
 */
static __attribute__((noinline)) _Noreturn void serve(int control, pid_t application) {
    stack_release(__builtin_frame_address(0), noted_strings());
    sigset_t all;
    sigfillset(&all);
    for (;;) {
        siginfo_t info;
        reap(control, application);
        if (sigwaitinfo(&all, &info) < 0) continue;
        if (info.si_signo == SIGIO && info.si_code > 0 && has_hung_up(control)) _exit(1);
        if (info.si_code <= 0 && info.si_pid == 0) kill(0, info.si_signo);
    }
}

_Noreturn void init_main(struct birth *birth) {
    struct failure why = {0};
    int fds[FRAME_FDS];
    if (birth_settles(birth, &why) < 0) birth_fails(birth, &why);
    if (enter_network(birth, &why) < 0) birth_fails(birth, &why);
    if (open_proc(birth->prepare, &birth->proc, &why) < 0) birth_fails(birth, &why);
    if (enter_sandbox(birth, &why) < 0) birth_fails(birth, &why);
    if (keep_for_application(birth, &why) < 0) birth_fails(birth, &why);
    /* Where go is there already nobody waits for less than the application, and nobody is woken. */
    if (*birth->notify >= 0 || !has_message(birth->control)) tell_prepared(birth);

    uint8_t *frame = spec_alloc(FRAME_LIMIT);
    if (frame == NULL) {
        fail(&why, STEP_MEMORY, errno, "go list");
        birth_fails(birth, &why);
    }
    struct ops *go = receive_go(birth->control, frame, fds, &why);
    if (go == NULL || run_stage(STAGE_GO, go, birth, &why) < 0 || leave_launcher(&why) < 0) birth_fails(birth, &why);
    pid_t application = start_application(birth, go, &why);
    if (application < 0 || tell_application(birth->control, application, &why) < 0) birth_fails(birth, &why);
    if (retire(birth, &why) < 0) birth_fails(birth, &why);
    tell_launcher(birth->control, (struct control_message){.kind = CONTROL_RUNNING});
    spec_free(frame, FRAME_LIMIT);
    ops_free(go);
    struct span specification = birth->prepare->raw;
    ops_free(birth->prepare);
    spec_free((void *)(uintptr_t)specification.data, specification.size);
    serve(birth->control, application);
}
