#define _GNU_SOURCE
#include "namespaces.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../sandbox/places.h"
#include "../syscalls.h"
#include "say.h"

static int complain(const char *step) {
    say("%s: %s", step, strerror(errno));
    return -1;
}

int make_reconciler_namespace(void) {
    if (unshare(CLONE_NEWNS) != 0) return complain("unshare of the mount namespace (CAP_SYS_ADMIN is needed)");
    /* Slave: what the host mounts arrives, what we mount never leaves. */
    if (mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL) != 0) return complain("making / a slave");
    int fd = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    return fd < 0 ? complain("open /proc/self/ns/mnt") : fd;
}

/*
 * A read-only tmpfs with two directories: on one an init moves its root, the other has the null device (launch.c).
 * Nothing of the host is left in it, so no path that a container brings can lead there. pivot_root refuses an initramfs
 * as the old root: chroot does then, with the old root covered by the new one.
 */
int enter_minimal_namespace(void) {
    if (unshare(CLONE_NEWNS) != 0) return complain("unshare of the minimal mount namespace");
    if (mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL) != 0) return complain("making / private");
    int context = sys_fsopen("tmpfs", FSOPEN_CLOEXEC);
    if (context < 0) return complain("fsopen tmpfs");
    int tree = -1;
    if (sys_fsconfig(context, FSCONFIG_SET_STRING, "mode", "0755", 0) == 0 &&
        sys_fsconfig(context, FSCONFIG_SET_STRING, "size", "64k", 0) == 0 &&
        sys_fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0) {
        tree = sys_fsmount(context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    }
    close(context);
    if (tree < 0) return complain("the root of the minimal mount namespace");
    int failed = -1;
    if (mkdirat(tree, &new_root[1], 0755) != 0 || mkdirat(tree, &devices_directory[1], 0755) != 0) {
        complain("directories of the minimal root");
    } else if (sys_move_mount(tree, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) != 0 || fchdir(tree) != 0) {
        complain("move_mount of the minimal root");
    } else if (sys_pivot_root(".", ".") == 0) {
        failed = umount2(".", MNT_DETACH);
        if (failed) complain("umount of the old root");
    } else if (errno == EINVAL) {
        failed = chroot(".");
        if (failed) complain("chroot");
    } else {
        complain("pivot_root");
    }
    close(tree);
    if (failed || chdir("/") != 0) return -1;
    if (mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0)
        return 0;
    return complain("making the minimal root read-only");
}
