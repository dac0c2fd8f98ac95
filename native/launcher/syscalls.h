/*
 * System calls without a wrapper in every C library, each as the kernel has it: -1 and errno, ENOSYS where it is
 * absent.
 */
#pragma once

#include <fcntl.h>
#include <linux/keyctl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

static inline long sys_clone3(struct clone_args *args, size_t size) { return syscall(SYS_clone3, args, size); }

static inline int sys_open_tree(int dir, const char *path, unsigned flags) {
    return (int)syscall(SYS_open_tree, dir, path, flags);
}

static inline int sys_openat2(int dir, const char *path, const struct open_how *how) {
    return (int)syscall(SYS_openat2, dir, path, how, sizeof *how);
}

static inline int sys_fsopen(const char *type, unsigned flags) { return (int)syscall(SYS_fsopen, type, flags); }

static inline int sys_fsconfig(int fd, unsigned command, const char *key, const void *value, int aux) {
    return (int)syscall(SYS_fsconfig, fd, command, key, value, aux);
}

static inline int sys_fsmount(int fd, unsigned flags, unsigned attributes) {
    return (int)syscall(SYS_fsmount, fd, flags, attributes);
}

static inline int sys_move_mount(int from, const char *from_path, int to, const char *to_path, unsigned flags) {
    return (int)syscall(SYS_move_mount, from, from_path, to, to_path, flags);
}

static inline int sys_mount_setattr(int dir, const char *path, unsigned flags, struct mount_attr *attr) {
    return (int)syscall(SYS_mount_setattr, dir, path, flags, attr, sizeof *attr);
}

static inline int sys_pivot_root(const char *root, const char *old) { return (int)syscall(SYS_pivot_root, root, old); }

static inline int sys_close_range(unsigned first, unsigned last, unsigned flags) {
    return (int)syscall(SYS_close_range, first, last, flags);
}

/* A new, empty one. */
static inline long sys_join_session_keyring(void) {
    return syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL, 0, 0, 0);
}

static inline int sys_pidfd_open(pid_t pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }

static inline int sys_pidfd_send_signal(int pidfd, int signal) {
    return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0);
}

static inline int sys_execveat(int fd, char **arguments, char **environment) {
    return (int)syscall(SYS_execveat, fd, "", arguments, environment, AT_EMPTY_PATH);
}
