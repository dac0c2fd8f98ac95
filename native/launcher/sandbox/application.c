/* From the fork to exec: the order matters, each right is used for the last time before it is given up. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../syscalls.h"
#include "sandbox.h"

enum { SIGNALS = 64 };

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

/*
 * Moves the descriptors of the go list to their numbers. A number may be another one's source, so all are first lifted
 * above the highest of them.
 */
static int place_descriptors(const struct ops *go, struct failure *why) {
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
        lifted[count] = fcntl(op->descriptor.fd, F_DUPFD_CLOEXEC, highest + 1);
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

static int set_rlimit(const struct op *op, struct failure *why) {
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

static int set_schedule(const struct op *op, struct failure *why) {
    struct sched_param parameters = {.sched_priority = (int)op->schedule.priority};
    if (setpriority(PRIO_PROCESS, 0, op->schedule.nice) < 0)
        return fail(why, OP_SCHEDULE, errno, "nice %d", op->schedule.nice);
    if (sched_setscheduler(0, (int)op->schedule.policy, &parameters) == 0) return 0;
    int error = errno;
    return fail(why, OP_SCHEDULE, error, "policy %u, priority %u%s", op->schedule.policy, op->schedule.priority,
                schedule_reason(op->schedule.priority, error));
}

/* Limits and scheduling, with the rights of root. */
static int apply_limits(const struct ops *prepare, struct failure *why) {
    for (uint32_t i = 0; i < prepare->count; i++) {
        const struct op *op = &prepare->items[i];
        if (op->kind == OP_RLIMIT && set_rlimit(op, why) < 0) return -1;
        if (op->kind == OP_SCHEDULE && set_schedule(op, why) < 0) return -1;
        if (op->kind == OP_UMASK) umask(op->umask.mask);
    }
    return 0;
}

int change_ids(const struct op *op, struct failure *why) {
    uint32_t uid = op->ids.uid, gid = op->ids.gid;
    if (setgroups(op->ids.count, op->ids.groups) < 0) return fail(why, OP_IDS, errno, "setgroups");
    if (setresgid(gid, gid, gid) < 0) return fail(why, OP_IDS, errno, "gid %u", gid);
    if (setresuid(uid, uid, uid) < 0) return fail(why, OP_IDS, errno, "uid %u", uid);
    return 0;
}

/*
 * All locked: uid 0 is nobody special after this, and no rule of what becomes of capabilities can be changed. What is
 * kept over the change of ids is not kept any longer: exec clears that bit. A kernel or a parent that does not allow to
 * lock them takes nothing away, since no_new_privs keeps exec from adding rights all the same.
 */
enum {
    SECUREBITS = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS |
                 SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED,
};

/*
 * The bounding set goes while CAP_SETPCAP is there, the ids change with the permitted set kept (PR_SET_KEEPCAPS), then
 * the sets become what is asked for, the ambient one last, since it needs permitted and inheritable.
 */
static int change_identity(const struct ops *prepare, struct failure *why) {
    const struct op *ids = ops_find(prepare, OP_IDS);
    const struct op *capabilities = ops_find(prepare, OP_CAPABILITIES);
    bool locked = prctl(PR_SET_SECUREBITS, SECUREBITS) == 0;
    if (capabilities != NULL && drop_bounding(capabilities->capabilities.bounding, why) < 0) return -1;
    if (ids != NULL) {
        if (!locked && prctl(PR_SET_KEEPCAPS, 1) < 0) return fail(why, OP_IDS, errno, "keeping capabilities");
        if (change_ids(ids, why) < 0) return -1;
    }
    return capabilities != NULL ? set_capabilities(capabilities, why) : 0;
}

static int change_directory(const struct ops *prepare, struct failure *why) {
    const struct op *cwd = ops_find(prepare, OP_CWD);
    if (cwd != NULL && chdir(cwd->cwd.path) < 0) return fail(why, OP_CWD, errno, "%s", cwd->cwd.path);
    return 0;
}

static int reset_signals(struct failure *why) {
    for (int number = 1; number <= SIGNALS; number++) signal(number, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    if (sigprocmask(SIG_SETMASK, &none, NULL) < 0) return fail(why, STEP_INIT, errno, "unblocking signals");
    return 0;
}

static int close_rest(const struct ops *go, struct failure *why) {
    struct kept kept = {.fds = {0, 1, 2}, .count = 3};
    for (uint32_t i = 0; i < go->count; i++)
        if (go->items[i].kind == OP_DESCRIPTOR) keep_descriptor(&kept, (int)go->items[i].descriptor.number);
    if (close_others(&kept) < 0) return fail(why, STEP_STDIO, errno, "closing descriptors");
    return 0;
}

static int load_filter(const struct ops *prepare, struct failure *why) {
    const struct op *op = ops_find(prepare, OP_SECCOMP);
    if (op == NULL) return 0;
    struct sock_fprog program = {.len = op->seccomp.length, .filter = op->seccomp.filter};
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
        return fail(why, OP_SECCOMP, errno, "%u instructions", op->seccomp.length);
    return 0;
}

void become_application(struct application *application) {
    const struct ops *prepare = application->birth->prepare, *go = application->go;
    const struct op *exec = ops_find(go, OP_EXEC);
    struct failure *why = &application->why, local;
    *why = (struct failure){.step = STEP_INIT, .error = ECHILD};
    const struct op *label = ops_find(prepare, OP_LABEL);
    /* The label first: a descriptor of the go list may take the number of what it is written through. */
    if ((label != NULL && set_label(label, application->birth->proc, &local) < 0) ||
        connect_outputs(application->birth, &local) < 0 || place_descriptors(go, &local) < 0 ||
        apply_limits(prepare, &local) < 0 || change_identity(prepare, &local) < 0 ||
        change_directory(prepare, &local) < 0 || reset_signals(&local) < 0) {
        *why = local;
        return;
    }
    /* The last change of ids and capabilities has cleared it, so it is set after that; the same goes for the check. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
        fail(why, STEP_INIT, errno, "no_new_privs");
        return;
    }
    if (close_rest(go, &local) < 0 || load_filter(prepare, &local) < 0) {
        *why = local;
        return;
    }
    why->step = 0;
    execve(exec->exec.path, exec->exec.arguments.items, exec->exec.environment.items);
    fail(why, OP_EXEC, errno, "%s", exec->exec.path);
}
