/*
 * Inside of the new namespaces: groups, host name, mounts, the new root. Targets lie in a tree that a package controls,
 * so each is resolved within it (openat2(2), RESOLVE_IN_ROOT) and mounted on by descriptor.
 */
#define _GNU_SOURCE
#include "mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "../syscalls.h"
#include "descriptors.h"
#include "places.h"
#include "runs.h"

/*
 * Opens a path (O_PATH and the like) as if the working directory were the root: neither `..` nor a link leads out of it
 * (openat2(2), RESOLVE_IN_ROOT). -1 and errno.
 */
static int resolve_in_root(const char *path, uint64_t flags) {
    struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    for (;;) {
        /* EAGAIN: a rename or a mount raced with the resolution. */
        int fd = sys_openat2(AT_FDCWD, path, &how);
        if (fd >= 0 || (errno != EINTR && errno != EAGAIN)) return fd;
    }
}

int run_cgroup_join(const struct op *op, const struct birth *birth, struct failure *why) {
    if (write(op->fd, "0", 1) == 1) return 0;
    return fail(why, OP_CGROUP_JOIN, errno, "cgroup.procs");
}

int run_root(const struct op *op, const struct birth *birth, struct failure *why) {
    if (sys_move_mount(op->fd, "", AT_FDCWD, new_root, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return fail(why, OP_ROOT, errno, "moving the image");
    if (chdir(new_root) < 0) return fail(why, OP_ROOT, errno, "%s", new_root);
    return 0;
}

static int attach(int tree, const char *target, uint16_t step, struct failure *why) {
    cleanup_close int place = resolve_in_root(target, O_PATH);
    if (place < 0) return fail(why, step, errno, "%s", target);
    if (sys_move_mount(tree, "", place, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) == 0) return 0;
    return fail(why, step, errno, "%s", target);
}

int run_tree(const struct op *op, const struct birth *birth, struct failure *why) {
    return attach(op->fd, op->tree.target, OP_TREE, why);
}

int run_setns(const struct op *op, const struct birth *birth, struct failure *why) {
    if (setns(op->fd, (int)op->setns.flags) == 0) return 0;
    return fail(why, OP_SETNS, errno, "flags %#x", op->setns.flags);
}

int run_hostname(const struct op *op, const struct birth *birth, struct failure *why) {
    if (sethostname(op->hostname.name, strlen(op->hostname.name)) == 0) return 0;
    return fail(why, OP_HOSTNAME, errno, "%s", op->hostname.name);
}

/* "key=value" or "flag". The key is cut at the "=", in this process's own copy. */
static int configure(int context, char *option) {
    char *value = strchr(option, '=');
    if (value == NULL) return sys_fsconfig(context, FSCONFIG_SET_FLAG, option, NULL, 0);
    *value++ = '\0';
    return sys_fsconfig(context, FSCONFIG_SET_STRING, option, value, 0);
}

int run_filesystem(const struct op *op, const struct birth *birth, struct failure *why) {
    const char *type = op->filesystem.type, *target = op->filesystem.target;
    cleanup_close int context = sys_fsopen(type, FSOPEN_CLOEXEC);
    if (context < 0) return fail(why, OP_FILESYSTEM, errno, "%s for %s", type, target);
    for (uint32_t i = 0; i < op->filesystem.options.count; i++)
        if (configure(context, op->filesystem.options.items[i]) < 0)
            return fail(why, OP_FILESYSTEM, errno, "option %s of %s", op->filesystem.options.items[i], target);
    if (sys_fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return fail(why, OP_FILESYSTEM, errno, "%s for %s", type, target);
    cleanup_close int mount = sys_fsmount(context, FSMOUNT_CLOEXEC, (unsigned)op->filesystem.attributes);
    if (mount < 0) return fail(why, OP_FILESYSTEM, errno, "%s for %s", type, target);
    return attach(mount, target, OP_FILESYSTEM, why);
}

/* The mount flags of mount(2) for what statvfs(3) and mount_setattr(2) call otherwise. */
static unsigned long remount_flags(unsigned long present, uint64_t set, uint64_t clear) {
    static const struct {
        unsigned long present, flag;
        uint64_t attribute;
    } flags[] = {
        {ST_RDONLY, MS_RDONLY, MOUNT_ATTR_RDONLY},    {ST_NOSUID, MS_NOSUID, MOUNT_ATTR_NOSUID},
        {ST_NODEV, MS_NODEV, MOUNT_ATTR_NODEV},       {ST_NOEXEC, MS_NOEXEC, MOUNT_ATTR_NOEXEC},
        {ST_NOATIME, MS_NOATIME, MOUNT_ATTR_NOATIME}, {ST_NODIRATIME, MS_NODIRATIME, MOUNT_ATTR_NODIRATIME},
    };
    unsigned long result = MS_REMOUNT | MS_BIND;
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if ((present & flags[i].present && !(clear & flags[i].attribute)) || set & flags[i].attribute)
            result |= flags[i].flag;
    return result;
}

/* Stands after PIVOT in the list, so that the plain path cannot lead out of the container. */
int run_attributes(const struct op *op, const struct birth *birth, struct failure *why) {
    const char *target = op->attributes.target;
    struct mount_attr attr = {.attr_set = op->attributes.set, .attr_clr = op->attributes.clear};
    if (sys_mount_setattr(AT_FDCWD, target, op->attributes.recursive ? AT_RECURSIVE : 0, &attr) == 0) return 0;
    /* Linux before 5.12 changes one mount at a time, and forgets the flags that are not said again. */
    struct statvfs present;
    if (errno == ENOSYS && !op->attributes.recursive && statvfs(target, &present) == 0 &&
        mount(NULL, target, NULL, remount_flags(present.f_flag, attr.attr_set, attr.attr_clr), NULL) == 0)
        return 0;
    return fail(why, OP_ATTRIBUTES, errno, "%s", target);
}

/* Opens the directory that a path's last component lies in; `name` is that component, within `path`. */
static int open_parent(const char *path, const char **name) {
    char parent[PATH_MAX];
    const char *slash = strrchr(path, '/');
    *name = slash != NULL ? slash + 1 : path;
    snprintf(parent, sizeof parent, "/%.*s", slash != NULL ? (int)(slash - path) : 0, path);
    return resolve_in_root(parent, O_PATH | O_DIRECTORY);
}

int run_node(const struct op *op, const struct birth *birth, struct failure *why) {
    const char *name;
    cleanup_close int parent = open_parent(op->node.path, &name);
    mode_t mask = umask(0);
    int made = -1;
    if (parent >= 0 && S_ISDIR(op->node.mode))
        made = mkdirat(parent, name, op->node.mode & 07777);
    else if (parent >= 0)
        made = mknodat(parent, name, op->node.mode, makedev(op->node.major, op->node.minor));
    umask(mask);
    return made < 0 ? fail(why, OP_NODE, errno, "%s", op->node.path) : 0;
}

int run_symlink(const struct op *op, const struct birth *birth, struct failure *why) {
    const char *name;
    cleanup_close int parent = open_parent(op->symlink.path, &name);
    if (parent < 0 || symlinkat(op->symlink.target, parent, name) < 0)
        return fail(why, OP_SYMLINK, errno, "%s", op->symlink.path);
    return 0;
}

/*
 * The new root takes the place of the old, which ends up on top of it and is detached (pivot_root(2), NOTES).
 * Everything is private before, so that nothing of it can travel. A working directory outside of the root would be a
 * way out (CVE-2024-21626).
 */
int run_pivot(const struct op *op, const struct birth *birth, struct failure *why) {
    if (mount(NULL, ".", NULL, MS_REC | MS_PRIVATE, NULL) < 0) return fail(why, OP_PIVOT, errno, "making it private");
    if (sys_pivot_root(".", ".") < 0) return fail(why, OP_PIVOT, errno, "pivot_root");
    if (umount2(".", MNT_DETACH) < 0) return fail(why, OP_PIVOT, errno, "detaching the old root");
    if (chdir("/") < 0) return fail(why, OP_PIVOT, errno, "/");
    char cwd[sizeof "/"];
    if (syscall(SYS_getcwd, cwd, sizeof cwd) < 0) return fail(why, OP_PIVOT, errno, "working directory");
    if (strcmp(cwd, "/") != 0) return fail(why, OP_PIVOT, EXDEV, "working directory");
    return 0;
}

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

/* A directory is hidden behind an empty one, a file behind the null device; nothing is done where nothing is. */
int run_mask(const struct op *op, const struct birth *birth, struct failure *why) {
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

/* The cgroup namespace's root is where its maker is, so it is made when the last group has been joined. */
static int unshare_cgroup(const struct ops *prepare, struct failure *why) {
    const struct op *namespaces = ops_find(prepare, OP_NAMESPACES);
    if (namespaces == NULL || !(namespaces->namespaces.flags & CLONE_NEWCGROUP) || unshare(CLONE_NEWCGROUP) == 0)
        return 0;
    return fail(why, OP_NAMESPACES, errno, "cgroup namespace");
}

int enter_sandbox(const struct birth *birth, struct failure *why) {
    if (run_stage(STAGE_GROUPS, birth->prepare, birth, why) < 0) return -1;
    if (unshare_cgroup(birth->prepare, why) < 0) return -1;
    return run_stage(STAGE_ROOT, birth->prepare, birth, why);
}
