/*
 * What only one process sees: the container's root as it is, and a directory with our own programs in it. It is a mount
 * namespace of that process: nothing of it is there for the container, and nothing stays.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../syscalls.h"
#include "descriptors.h"
#include "runs.h"

static const char tools_directory[] = ".northstate";
static const char tools_program[] = ".northstate/program";

static int complain(const char *what, struct failure *why) { return fail(why, OP_TOOLS, errno, "%s", what); }

/* A tmpfs that lies over the root, from its descriptor. What is below it is still there under the old root's name. */
static int cover_root(struct failure *why) {
    cleanup_close int context = sys_fsopen("tmpfs", FSOPEN_CLOEXEC);
    if (context < 0 || sys_fsconfig(context, FSCONFIG_SET_STRING, "size", "1m", 0) < 0 ||
        sys_fsconfig(context, FSCONFIG_SET_STRING, "mode", "0755", 0) < 0 ||
        sys_fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return complain("tmpfs", why);
    int root = sys_fsmount(context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
    if (root < 0) return complain("fsmount", why);
    if (sys_move_mount(root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) == 0) return root;
    complain("the new root", why);
    close(root);
    return -1;
}

/* The same mounts, all that is below included, under the same name in the new root. */
static int carry_over(int root, int old, const char *name, mode_t mode) {
    cleanup_close int tree =
        sys_open_tree(old, name, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | AT_SYMLINK_NOFOLLOW);
    if (tree < 0) return -1;
    if (S_ISDIR(mode) ? mkdirat(root, name, 0755) < 0 : mknodat(root, name, S_IFREG | 0444, 0) < 0) return -1;
    return sys_move_mount(tree, "", root, name, MOVE_MOUNT_F_EMPTY_PATH);
}

static int carry_link(int root, int old, const char *name) {
    char target[PATH_MAX];
    ssize_t size = readlinkat(old, name, target, sizeof target - 1);
    if (size < 0) return -1;
    target[size] = '\0';
    return symlinkat(target, root, name);
}

static int carry_entry(int root, int old, const char *name) {
    struct stat status;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, tools_directory) == 0) return 0;
    if (fstatat(old, name, &status, AT_SYMLINK_NOFOLLOW) < 0) return -1;
    return S_ISLNK(status.st_mode) ? carry_link(root, old, name) : carry_over(root, old, name, status.st_mode);
}

static int carry_all(int root, struct failure *why) {
    DIR *old = opendir("/");
    if (old == NULL) return complain("/", why);
    int result = 0;
    for (struct dirent *entry; result == 0 && (entry = readdir(old)) != NULL;)
        if (carry_entry(root, dirfd(old), entry->d_name) < 0) result = complain(entry->d_name, why);
    closedir(old);
    return result;
}

static int place_tools(int root, const struct op *op, struct failure *why) {
    static const char BIN[] = ".northstate/bin";
    if (mkdirat(root, tools_directory, 0755) < 0 || mkdirat(root, BIN, 0755) < 0 ||
        mknodat(root, tools_program, S_IFREG | 0555, 0) < 0 ||
        sys_move_mount(op->fd, "", root, tools_program, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return complain(tools_program, why);
    for (uint32_t i = 0; i < op->tools.names.count; i++) {
        char link[NAME_MAX + sizeof BIN + 1];
        const char *name = op->tools.names.items[i];
        int size = snprintf(link, sizeof link, "%s/%s", BIN, name);
        if (size < 0 || (size_t)size >= sizeof link || strchr(name, '/') != NULL ||
            symlinkat("../program", root, link) < 0)
            return complain(name, why);
    }
    return 0;
}

int run_tools(const struct op *op, const struct birth *birth, struct failure *why) {
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL) < 0)
        return complain("a mount namespace", why);
    mode_t mask = umask(0);
    cleanup_close int root = cover_root(why);
    if (root < 0 || carry_all(root, why) < 0 || place_tools(root, op, why) < 0) return -1;
    umask(mask);
    if (fchdir(root) < 0 || sys_pivot_root(".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
        return complain("the new root", why);
    if (mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL) < 0)
        return complain("a root that is read-only", why);
    return 0;
}
