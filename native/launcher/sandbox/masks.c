/* What a container's own file systems would tell or do for the host is hidden behind nothing. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "../syscalls.h"
#include "sandbox.h"

/* An empty directory that nobody can write to, mounted nowhere. */
static int make_empty(void) {
    cleanup_close int context = sys_fsopen("tmpfs", FSOPEN_CLOEXEC);
    if (context < 0 || sys_fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) return -1;
    return sys_fsmount(context, FSMOUNT_CLOEXEC,
                       MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
}

/* The null device, as the init's copy of the launcher's namespace has it: until the pivot that is what `/` is. */
static int clone_null(void) {
    char path[32];
    snprintf(path, sizeof path, "%s/null", devices_directory);
    return sys_open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
}

int mask_path(const struct op *op, struct failure *why) {
    const char *path = op->mask.path;
    cleanup_close int place = resolve_in_root(path, O_PATH);
    struct stat found;
    if (place < 0 && errno == ENOENT) return 0;
    if (place < 0 || fstat(place, &found) < 0) return fail(why, OP_MASK, errno, "%s", path);
    cleanup_close int cover = S_ISDIR(found.st_mode) ? make_empty() : clone_null();
    if (cover >= 0 && sys_move_mount(cover, "", place, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) == 0)
        return 0;
    return fail(why, OP_MASK, errno, "%s", path);
}
