#define _GNU_SOURCE
#include "null-devices.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "../syscalls.h"
#include "places.h"

static int made = -1;

int *null_devices_made(void) { return &made; }

int null_devices(struct failure *why) {
    if (made >= 0) return made;
    int context = sys_fsopen("tmpfs", FSOPEN_CLOEXEC);
    if (context < 0) return fail(why, STEP_INIT, errno, "fsopen tmpfs");
    int mount = -1;
    if (sys_fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
        mount = sys_fsmount(context, FSMOUNT_CLOEXEC, 0);
    int error = errno;
    close(context);
    if (mount < 0) return fail(why, STEP_INIT, error, "fsmount tmpfs");
    mode_t mask = umask(0);
    int placed = mknodat(mount, "null", S_IFCHR | 0666, makedev(1, 3));
    umask(mask);
    if (placed == 0) placed = sys_move_mount(mount, "", AT_FDCWD, devices_directory, MOVE_MOUNT_F_EMPTY_PATH);
    error = errno;
    if (placed < 0) {
        close(mount);
        return fail(why, STEP_INIT, error, "%s", devices_directory);
    }
    made = mount;
    return made;
}
