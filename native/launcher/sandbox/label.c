/* The SELinux context of the application. */
#define _GNU_SOURCE
#include "label.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "../syscalls.h"
#include "descriptors.h"
#include "runs.h"

int open_proc(const struct ops *prepare, int *proc, struct failure *why) {
    *proc = -1;
    if (ops_find(prepare, OP_LABEL) == NULL) return 0;
    cleanup_close int context = sys_fsopen("proc", FSOPEN_CLOEXEC);
    if (context >= 0 && sys_fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
        *proc = sys_fsmount(context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    return *proc < 0 ? fail(why, OP_LABEL, errno, "proc") : 0;
}

/* The program that is executed next gets this context (proc_pid_attr(5)). */
int run_label(const struct op *op, const struct birth *birth, struct failure *why) {
    const char *context = op->label.context;
    cleanup_close int file = openat(birth->proc, "thread-self/attr/exec", O_WRONLY | O_CLOEXEC);
    if (file >= 0 && write(file, context, strlen(context)) >= 0) return 0;
    return fail(why, OP_LABEL, errno, "%s", context);
}
