/* From the fork to exec: the order matters, each right is used for the last time before it is given up. */
#define _GNU_SOURCE
#include "application.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "capabilities.h"
#include "descriptors.h"
#include "identity.h"
#include "runs.h"

static const char *const rlimit_names[RLIM_NLIMITS] = {
    "cpu",     "fsize", "data",  "stack",      "core",     "rss",  "nproc",  "nofile",
    "memlock", "as",    "locks", "sigpending", "msgqueue", "nice", "rtprio", "rttime",
};

/* A pipe has mode 0600, so it becomes the user's: programs open theirs again by name, as /dev/stdout. */
static int connect_outputs(const struct birth *birth, struct failure *why) {
    const struct op *ids = ops_find(birth->prepare, OP_IDS);
    for (int stream = 1; stream <= 2; stream++) {
        int fd = birth->output[stream - 1];
        if (fd < 0) continue;
        /* EPERM: the host lacks CAP_CHOWN. What is open can be written to all the same. */
        if (ids != NULL && fchown(fd, ids->ids.uid, ids->ids.gid) < 0 && errno != EPERM)
            return fail(why, STEP_STDIO, errno, "owner of descriptor %d", stream);
        if (dup2(fd, stream) < 0) return fail(why, STEP_STDIO, errno, "descriptor %d", stream);
    }
    return 0;
}

int place_descriptors(const struct ops *go, struct failure *why) {
    int lifted[FRAME_FDS];
    size_t count = 0;
    uint32_t highest = 2;
    for (uint32_t i = 0; i < go->count; i++) {
        const struct op *op = &go->items[i];
        if (op->kind == OP_DESCRIPTOR && op->descriptor.number > highest) highest = op->descriptor.number;
    }
    for (uint32_t i = 0; i < go->count; i++) {
        const struct op *op = &go->items[i];
        if (op->kind != OP_DESCRIPTOR) continue;
        if (count == FRAME_FDS) return fail(why, OP_DESCRIPTOR, E2BIG, "%u", op->descriptor.number);
        /* None that takes a number is overwritten before it has its own. */
        lifted[count] = op->fd > (int)highest ? op->fd : fcntl(op->fd, F_DUPFD_CLOEXEC, highest + 1);
        if (lifted[count++] < 0) return fail(why, OP_DESCRIPTOR, errno, "%u", op->descriptor.number);
    }
    count = 0;
    for (uint32_t i = 0; i < go->count; i++) {
        const struct op *op = &go->items[i];
        if (op->kind != OP_DESCRIPTOR) continue;
        if (dup2(lifted[count++], (int)op->descriptor.number) < 0)
            return fail(why, OP_DESCRIPTOR, errno, "%u", op->descriptor.number);
    }
    return 0;
}

/* Why the kernel does not set a limit (setrlimit(2)). */
static const char *limit_reason(uint32_t resource, int error) {
    if (error == EINVAL) return ": the soft limit is above the hard one";
    if (error != EPERM) return "";
    if (!has_capability(CAP_SYS_RESOURCE)) return ": to raise it takes CAP_SYS_RESOURCE, which the runtime lacks";
    return resource == RLIMIT_NOFILE ? ": it is above fs.nr_open" : "";
}

int run_rlimit(const struct op *op, const struct birth *birth, struct failure *why) {
    uint32_t resource = op->rlimit.resource;
    struct rlimit limit = {.rlim_cur = op->rlimit.soft, .rlim_max = op->rlimit.hard};
    if (setrlimit((__rlimit_resource_t)resource, &limit) == 0) return 0;
    int error = errno;
    char hard[24] = "unlimited";
    if (op->rlimit.hard != RLIM_INFINITY) snprintf(hard, sizeof hard, "%" PRIu64, op->rlimit.hard);
    return fail(why, OP_RLIMIT, error, "%s %s%s", rlimit_names[resource], hard, limit_reason(resource, error));
}

/*
 * Why the kernel refuses a policy (sched(7)): with the right to any, only a group without a real-time budget is left.
 */
static const char *schedule_reason(uint32_t priority, int error) {
    if (error != EPERM) return "";
    if (!has_capability(CAP_SYS_NICE)) return ": it takes CAP_SYS_NICE, which the runtime lacks";
    return priority == 0 ? "" : ": its control group has no real-time budget (cgroups: cpu: realtime_runtime)";
}

int run_schedule(const struct op *op, const struct birth *birth, struct failure *why) {
    struct sched_param parameters = {.sched_priority = (int)op->schedule.priority};
    if (setpriority(PRIO_PROCESS, 0, op->schedule.nice) < 0)
        return fail(why, OP_SCHEDULE, errno, "nice %d", op->schedule.nice);
    if (sched_setscheduler(0, (int)op->schedule.policy, &parameters) == 0) return 0;
    int error = errno;
    return fail(why, OP_SCHEDULE, error, "policy %u, priority %u%s", op->schedule.policy, op->schedule.priority,
                schedule_reason(op->schedule.priority, error));
}

int run_umask(const struct op *op, const struct birth *birth, struct failure *why) {
    umask(op->umask.mask);
    return 0;
}

int run_cwd(const struct op *op, const struct birth *birth, struct failure *why) {
    return chdir(op->cwd.path) < 0 ? fail(why, OP_CWD, errno, "%s", op->cwd.path) : 0;
}

int run_seccomp(const struct op *op, const struct birth *birth, struct failure *why) {
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &op->seccomp.program) == 0) return 0;
    return fail(why, OP_SECCOMP, errno, "%u instructions", op->seccomp.program.len);
}

int unblock_signals(struct failure *why) {
    sigset_t none;
    sigemptyset(&none);
    if (sigprocmask(SIG_SETMASK, &none, NULL) < 0) return fail(why, STEP_INIT, errno, "unblocking signals");
    return 0;
}

int close_rest(const struct ops *go, int control, struct failure *why) {
    struct kept kept = {.fds = {0, 1, 2}, .count = 3};
    keep_descriptor(&kept, control);
    for (uint32_t i = 0; i < go->count; i++)
        if (go->items[i].kind == OP_DESCRIPTOR) keep_descriptor(&kept, (int)go->items[i].descriptor.number);
    if (close_others(&kept) < 0) return fail(why, STEP_STDIO, errno, "closing descriptors");
    return 0;
}

void become_application(struct application *application) {
    const struct birth *birth = application->birth;
    const struct ops *prepare = birth->prepare, *go = application->go;
    const struct op *exec = ops_find(go, OP_EXEC);
    struct failure *why = &application->why, local;
    *why = (struct failure){.step = STEP_INIT, .error = ECHILD};
    /* The label first: a descriptor of the go list may take the number of what it is written through. */
    if (run_stage(STAGE_LABEL, prepare, birth, &local) < 0 || connect_outputs(birth, &local) < 0 ||
        place_descriptors(go, &local) < 0 || run_stage(STAGE_LIMITS, prepare, birth, &local) < 0 ||
        change_identity(prepare, &local) < 0 || run_stage(STAGE_DIRECTORY, prepare, birth, &local) < 0 ||
        unblock_signals(&local) < 0) {
        *why = local;
        return;
    }
    /* The last change of ids and capabilities has cleared it, so it is set after that; the same goes for the check. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
        fail(why, STEP_INIT, errno, "no_new_privs");
        return;
    }
    if (close_rest(go, -1, &local) < 0 || run_stage(STAGE_FILTER, prepare, birth, &local) < 0) {
        *why = local;
        return;
    }
    why->step = 0;
    execve(exec->exec.path, exec->exec.arguments.items, exec->exec.environment.items);
    fail(why, OP_EXEC, errno, "%s", exec->exec.path);
}
