/*
 * The floor of bench/start and bench/replace: what the kernel alone takes from a decision to the first instruction of
 * an application in a container, with none of the project's code in between. It does what a start must do: clone3 with
 * the namespaces, a detached tree of the image moved in place, proc, pivot_root, a second process, ids, exec.
 *
 *   floor [OPTION...] IMAGE_DIR ROUNDS REST_MS [CGROUP...]
 *
 *   -b DIR:TARGET  a bind, read-only        -s TARGET  sysfs, read-only     -f FILE  a filter of system calls, as an
 *   -t TARGET      a tmpfs                  -m TARGET  hides what is there           array of struct sock_filter
 *   -k             each round also kills what it has started (SIGKILL), and prints the nanoseconds until all of it has
 *                  gone
 *   -r             a replacement: all but the application is there when another process ends, and the nanoseconds are
 *                  counted from that one's last act
 *
 * IMAGE_DIR is a mounted image with /probe of test/support/payload, whose `stamp` writes the CLOCK_MONOTONIC (ns,
 * decimal) of its first instruction, and with a directory /proc. A CGROUP is a cgroup.procs file (v1), which init
 * joins, or, before those, the directory of a v2 group, which it is cloned into (CLONE_INTO_CGROUP). Prints one line
 * per round: the nanoseconds from before clone3 to the application's first instruction. With 0 ROUNDS there is one for
 * each line of stdin.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { KERNEL_ATTRIBUTES = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC };

static void die(const char *step) {
    fprintf(stderr, "floor: %s: %s\n", step, strerror(errno));
    _exit(1);
}

static void check(long result, const char *step) {
    if (result < 0) die(step);
}

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* What an option adds to each start, in the order given. */
static struct extra {
    int kind;
    const char *target; /* below the new root */
    const char *source;
    int tree;
} extras[64];
static int extra_count;
static int kills, replaces;
static int go[2];         /* what an init waits for, where it replaces */
static int64_t *last_act; /* of what it replaces, which has it in common with us */
static struct sock_filter instructions[BPF_MAXINSNS];
static struct sock_fprog filter = {.filter = instructions};

static void application(void) {
    char *argv[] = {"/probe", "stamp", "-", kills ? "sleep" : NULL, NULL}, *env[] = {NULL};
    check(syscall(SYS_setgroups, 0, NULL), "setgroups");
    check(syscall(SYS_setresgid, 1000, 1000, 1000), "setresgid");
    check(syscall(SYS_setresuid, 1000, 1000, 1000), "setresuid");
    check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
    if (filter.len > 0) check(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter), "seccomp");
    execve("/probe", argv, env);
    die("execve");
}

static void attach(int tree, const char *target) {
    check(syscall(SYS_move_mount, tree, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH), target);
    close(tree);
}

static void mount_new(const char *type, const char *target, unsigned long attributes) {
    int fs = (int)syscall(SYS_fsopen, type, 0);
    check(fs, type);
    check(syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0), type);
    int made = (int)syscall(SYS_fsmount, fs, 0, attributes);
    check(made, type);
    close(fs);
    attach(made, target);
}

/* A directory is hidden by an empty one, a file by the null device. */
static void hide(const char *target) {
    struct stat found;
    check(stat(target, &found), target);
    if (S_ISDIR(found.st_mode))
        mount_new("tmpfs", target, KERNEL_ATTRIBUTES);
    else
        attach((int)syscall(SYS_open_tree, AT_FDCWD, "dev/null", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC), target);
}

static void mount_extra(const struct extra *extra) {
    if (extra->kind == 'b')
        attach(extra->tree, extra->target);
    else if (extra->kind == 's')
        mount_new("sysfs", extra->target, KERNEL_ATTRIBUTES);
    else if (extra->kind == 't')
        mount_new("tmpfs", extra->target, KERNEL_ATTRIBUTES & ~(unsigned long)MOUNT_ATTR_RDONLY);
    else
        hide(extra->target);
}

/* As the reconciler does it: before the init is there. */
static void open_binds(void) {
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID, .propagation = MS_PRIVATE};
    for (struct extra *extra = extras; extra < extras + extra_count; extra++) {
        if (extra->kind != 'b') continue;
        extra->tree = (int)syscall(SYS_open_tree, AT_FDCWD, extra->source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
        check(extra->tree, extra->source);
        check(syscall(SYS_mount_setattr, extra->tree, "", AT_EMPTY_PATH, &attributes, sizeof attributes),
              extra->source);
    }
}

static void close_binds(void) {
    for (struct extra *extra = extras; extra < extras + extra_count; extra++)
        if (extra->kind == 'b') close(extra->tree);
}

static void init(int tree, int out, int count, char **procs) {
    check(prctl(PR_SET_PDEATHSIG, SIGKILL), "pdeathsig");
    for (int i = 0; i < count; i++) {
        int fd = open(procs[i], O_WRONLY | O_CLOEXEC);
        check(fd, procs[i]);
        check(write(fd, "0", 1), procs[i]);
        close(fd);
    }
    check(setsid(), "setsid");
    check(dup2(out, 1), "dup2");
    check(syscall(SYS_move_mount, tree, "", AT_FDCWD, "/tmp", MOVE_MOUNT_F_EMPTY_PATH), "move_mount");
    check(chdir("/tmp"), "chdir");
    mount_new("proc", "proc", KERNEL_ATTRIBUTES);
    for (int i = 0; i < extra_count; i++) mount_extra(&extras[i]);
    check(syscall(SYS_pivot_root, ".", "."), "pivot_root");
    check(syscall(SYS_umount2, ".", 2), "umount");
    check(chdir("/"), "chdir /");
    char word = '.';
    if (replaces) {
        check(write(out, &word, 1), "write");
        check(read(go[0], &word, 1), "read");
    }
    pid_t child = fork();
    check(child, "fork");
    if (child == 0) application();
    int status;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR);
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

/* Somebody ends, and the init that waits for that goes on. Gives the time of the last act. */
static int64_t replace(int out) {
    char word;
    check(read(out, &word, 1), "read");
    pid_t old = fork();
    check(old, "fork");
    if (old == 0) {
        *last_act = now_ns();
        _exit(0);
    }
    check(waitpid(old, NULL, 0), "waitpid");
    check(write(go[1], &word, 1), "write");
    return *last_act;
}

/* `group` is the directory of a v2 group, -1 for none. */
static void play_round(const char *image, int group, int count, char **procs) {
    int out[2];
    check(pipe2(out, O_CLOEXEC), "pipe2");
    int64_t begin = now_ns();
    int tree = (int)syscall(SYS_open_tree, AT_FDCWD, image, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    check(tree, "open_tree");
    open_binds();
    struct clone_args args = {
        .flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET | CLONE_NEWCGROUP,
        .exit_signal = SIGCHLD,
    };
    if (group >= 0) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = (uint64_t)group;
    }
    long pid = syscall(SYS_clone3, &args, sizeof args);
    check(pid, "clone3");
    if (pid == 0) init(tree, out[1], count, procs);
    close(tree);
    close_binds();
    close(out[1]);
    if (replaces) begin = replace(out[0]);
    char text[32] = {0};
    check(read(out[0], text, sizeof text - 1), "read");
    close(out[0]);
    int64_t end = now_ns();
    if (kills) check(kill((pid_t)pid, SIGKILL), "kill");
    int status;
    check(waitpid((pid_t)pid, &status, 0), "waitpid");
    printf("%lld", (long long)(strtoll(text, NULL, 10) - begin));
    if (kills) printf(" %lld", (long long)(now_ns() - end));
    puts("");
    fflush(stdout);
}

static void read_filter(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    check(fd, path);
    ssize_t size = read(fd, instructions, sizeof instructions);
    check(size, path);
    filter.len = (unsigned short)((size_t)size / sizeof *instructions);
    close(fd);
}

static void add_extra(int kind, char *text) {
    if (extra_count == sizeof extras / sizeof *extras) {
        errno = E2BIG;
        die(text);
    }
    char *colon = kind == 'b' ? strrchr(text, ':') : NULL;
    if (colon != NULL) *colon = '\0';
    const char *target = colon != NULL ? colon + 1 : text;
    extras[extra_count++] = (struct extra){.kind = kind, .source = text, .target = target + (*target == '/')};
}

int main(int argc, char **argv) {
    for (int option; (option = getopt(argc, argv, "+b:t:s:m:f:kr")) != -1;) {
        if (option == '?') return 2;
        if (option == 'f')
            read_filter(optarg);
        else if (option == 'k')
            kills = 1;
        else if (option == 'r')
            replaces = 1;
        else
            add_extra(option, optarg);
    }
    argv += optind - 1;
    argc -= optind - 1;
    if (argc < 4) {
        fprintf(stderr, "usage: floor [OPTION...] IMAGE_DIR ROUNDS REST_MS [CGROUP...]\n");
        return 2;
    }
    char **procs = argv + 4;
    int count = argc - 4, group = -1;
    struct stat first;
    if (count > 0 && stat(procs[0], &first) == 0 && S_ISDIR(first.st_mode)) {
        check(group = open(procs[0], O_PATH | O_DIRECTORY | O_CLOEXEC), procs[0]);
        procs++;
        count--;
    }
    check(unshare(CLONE_NEWNS), "unshare");
    check(syscall(SYS_mount, NULL, "/", NULL, 0x44000, NULL), "private"); /* MS_REC | MS_PRIVATE */
    check(pipe2(go, O_CLOEXEC), "pipe2");
    last_act = mmap(NULL, sizeof *last_act, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (last_act == MAP_FAILED) die("mmap");
    int rounds = atoi(argv[2]);
    char line[16];
    for (int round = 0; rounds == 0 ? fgets(line, sizeof line, stdin) != NULL : round < rounds; round++) {
        usleep((useconds_t)atoi(argv[3]) * 1000);
        play_round(argv[1], group, count, procs);
    }
    return 0;
}
