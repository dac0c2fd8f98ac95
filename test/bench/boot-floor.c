/*
 * The floor of bench/boot: what the kernel alone takes to attach, mount and start so many images, one after the other,
 * with none of the project's code in between and nobody waiting for an application. And that of bench/stop, with -e:
 * what it takes to end and unmount them.
 *
 *   boot-floor [-e] DIRECTORY OFFSET SIZE TYPE FILE...
 *
 * Of each FILE the image (SIZE bytes at OFFSET, of a file system TYPE) is mounted on a new directory below DIRECTORY,
 * and its /probe, told to `stamp -`, writes the CLOCK_MONOTONIC (ns) of its first instruction to our stdout. The image
 * may have a directory /proc. Ends when all of them have; the caller takes away the directories.
 *
 * With -e they go on until a line of stdin comes: then each gets SIGTERM, and when all are gone each image is
 * unmounted, eight at a time as their waits for the kernel overlap. The last line is what that took (ns).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { KERNEL_ATTRIBUTES = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC };
enum { IMAGE_FLAGS = 1 | 2 | 4 /* MS_RDONLY, MS_NOSUID, MS_NODEV */ };

static void check(long result, const char *step) {
    if (result >= 0) return;
    fprintf(stderr, "boot-floor: %s: %s\n", step, strerror(errno));
    _exit(1);
}

static void mount_image(const char *file, uint64_t offset, uint64_t size, const char *type, const char *target) {
    struct loop_config config = {.fd = (uint32_t)open(file, O_RDONLY | O_CLOEXEC)};
    config.info.lo_offset = offset;
    config.info.lo_sizelimit = size;
    config.info.lo_flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR;
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    check(control, "/dev/loop-control");
    char name[32];
    int loop;
    for (;;) {
        snprintf(name, sizeof name, "/dev/loop%d", ioctl(control, LOOP_CTL_GET_FREE));
        check(loop = open(name, O_RDONLY | O_CLOEXEC), name);
        if (ioctl(loop, LOOP_CONFIGURE, &config) == 0) break;
        if (errno != EBUSY) check(-1, name);
        close(loop);
    }
    check(mkdir(target, 0700), target);
    check(syscall(SYS_mount, name, target, type, IMAGE_FLAGS, NULL), target);
    close(loop);
    close(control);
    close((int)config.fd);
}

static volatile pid_t application;

static void pass_on(int number) {
    if (application > 0) kill(application, number);
}

static void mount_proc(void) {
    int fs = (int)syscall(SYS_fsopen, "proc", 0);
    check(syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0), "proc");
    int proc = (int)syscall(SYS_fsmount, fs, 0, KERNEL_ATTRIBUTES);
    check(syscall(SYS_move_mount, proc, "", AT_FDCWD, "proc", MOVE_MOUNT_F_EMPTY_PATH), "proc");
}

static void init(int tree, int ends) {
    check(prctl(PR_SET_PDEATHSIG, SIGKILL), "pdeathsig");
    check(setsid(), "setsid");
    check(syscall(SYS_move_mount, tree, "", AT_FDCWD, "/tmp", MOVE_MOUNT_F_EMPTY_PATH), "move_mount");
    check(chdir("/tmp"), "chdir");
    if (access("proc", F_OK) == 0) mount_proc();
    check(syscall(SYS_pivot_root, ".", "."), "pivot_root");
    check(syscall(SYS_umount2, ".", 2), "umount");
    signal(SIGTERM, pass_on);
    pid_t child = fork();
    check(child, "fork");
    if (child == 0) {
        signal(SIGTERM, SIG_DFL);
        char *argv[] = {"/probe", "stamp", "-", ends ? "sleep" : NULL, NULL}, *env[] = {NULL};
        check(syscall(SYS_setgroups, 0, NULL), "setgroups");
        check(syscall(SYS_setresgid, 1000, 1000, 1000), "setresgid");
        check(syscall(SYS_setresuid, 1000, 1000, 1000), "setresuid");
        check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
        execve("/probe", argv, env);
        check(-1, "execve");
    }
    application = child;
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR);
    _exit(0);
}

static pid_t start(const char *target, int ends) {
    int tree = (int)syscall(SYS_open_tree, AT_FDCWD, target, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    check(tree, "open_tree");
    struct clone_args args = {
        .flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET | CLONE_NEWCGROUP,
        .exit_signal = SIGCHLD,
    };
    long pid = syscall(SYS_clone3, &args, sizeof args);
    check(pid, "clone3");
    if (pid == 0) init(tree, ends);
    close(tree);
    return (pid_t)pid;
}

static void target_of(char *path, size_t size, const char *directory, int i) {
    snprintf(path, size, "%s/%d", directory, i);
}

static void wait_for_all(void) { while (wait(NULL) > 0 || errno == EINTR); }

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void end_all(const char *directory, const pid_t *pids, int count) {
    enum { TOGETHER = 8 };
    int64_t begin = now_ns();
    for (int i = 0; i < count; i++) kill(pids[i], SIGTERM);
    wait_for_all();
    for (int part = 0; part < TOGETHER; part++) {
        if (fork() != 0) continue;
        for (int i = part; i < count; i += TOGETHER) {
            char target[4096];
            target_of(target, sizeof target, directory, i);
            check(umount2(target, 0), target);
            check(rmdir(target), target);
        }
        _exit(0);
    }
    wait_for_all();
    printf("%lld\n", (long long)(now_ns() - begin));
}

int main(int argc, char **argv) {
    int ends = argc > 1 && strcmp(argv[1], "-e") == 0;
    argv += ends;
    argc -= ends;
    if (argc < 6) {
        fprintf(stderr, "usage: boot-floor [-e] DIRECTORY OFFSET SIZE TYPE FILE...\n");
        return 2;
    }
    int count = argc - 5;
    pid_t *pids = calloc((size_t)count, sizeof *pids);
    check(pids == NULL ? -1 : 0, "memory");
    check(unshare(CLONE_NEWNS), "unshare");
    check(syscall(SYS_mount, NULL, "/", NULL, 0x44000, NULL), "private"); /* MS_REC | MS_PRIVATE */
    for (int i = 0; i < count; i++) {
        char target[4096];
        target_of(target, sizeof target, argv[1], i);
        mount_image(argv[5 + i], strtoull(argv[2], NULL, 10), strtoull(argv[3], NULL, 10), argv[4], target);
        pids[i] = start(target, ends);
    }
    if (ends && getchar() != EOF) end_all(argv[1], pids, count);
    if (!ends) wait_for_all();
    free(pids);
    return 0;
}
