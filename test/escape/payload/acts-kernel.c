/* Through what the kernel offers to everybody: namespaces of users, control groups, keys, IPC, terminals. */
#define _GNU_SOURCE
#include "hostile.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

/* users PATH...: root in a namespace of its own, and then: what is read-only or hidden made open again. */
static void become_root(char **arguments) {
    if (tell("a user namespace", unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWNET | CLONE_NEWPID)) <
        0)
        return;
    fflush(stdout);
    if (fork() > 0) { /* the child is the first of the PID namespace */
        wait(NULL);
        return;
    }
    for (char **path = arguments; *path != NULL; path++) {
        char what[4096];
        snprintf(what, sizeof what, "remount %s", *path);
        tell(what, mount(NULL, *path, NULL, MS_REMOUNT | MS_BIND, NULL));
        snprintf(what, sizeof what, "umount %s", *path);
        tell(what, umount2(*path, MNT_DETACH));
    }
    tell("another proc", mount("proc", "/tmp", "proc", 0, NULL));
    tell("another sysfs", mount("sysfs", "/tmp", "sysfs", 0, NULL));
    mount("cgroup", "/tmp", "cgroup", 0, "freezer");
    tell("release_agent", open("/tmp/release_agent", O_WRONLY | O_CLOEXEC));
}

/* agent HIERARCHY...: CVE-2022-0492: the program that the kernel runs, as root of the host, when a v1 group empties. */
static void find_release_agent(char **arguments) {
    for (char **hierarchy = arguments; *hierarchy != NULL; hierarchy++) {
        char what[512];
        mkdir("/tmp/groups", 0755);
        snprintf(what, sizeof what, "mount %s", *hierarchy);
        if (tell(what, mount("cgroup", "/tmp/groups", "cgroup", 0, *hierarchy)) < 0) continue;
        snprintf(what, sizeof what, "release_agent of %s", *hierarchy);
        /* access(2) leaves the capabilities of others than root aside. */
        long agent = tell(what, open("/tmp/groups/release_agent", O_WRONLY | O_CLOEXEC));
        if (agent >= 0) close((int)agent);
        umount2("/tmp/groups", MNT_DETACH);
    }
}

/* with-key NAME PROGRAM...: runs a program that has a key of that name in its session keyring. */
static void run_with_key(char **arguments) {
    long session = syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
    long key = syscall(SYS_add_key, "user", arguments[0], "secret", 6, KEY_SPEC_SESSION_KEYRING);
    /* Whoever comes by may look: what keeps it is the keyring, not the user. */
    if (session < 0 || key < 0 || syscall(SYS_keyctl, KEYCTL_SETPERM, key, 0x3f3f3f3f) < 0 ||
        syscall(SYS_keyctl, KEYCTL_SETPERM, session, 0x3f3f3f3f) < 0) {
        perror("keys");
        exit(EXIT_FAILURE);
    }
    alarm(0);
    execv(arguments[1], arguments + 1);
    perror(arguments[1]);
    exit(EXIT_FAILURE);
}

/* keys NAME: looks for a key. */
static void find_key(char **arguments) {
    char secret[16];
    long key = syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, "user", arguments[0], 0);
    tell("the session's key", key < 0 ? key : syscall(SYS_keyctl, KEYCTL_READ, key, secret, sizeof secret));
}

/* ipc KEY NAME: memory and a message queue that somebody else has made. */
static void find_ipc(char **arguments) {
    tell("shared memory", shmget((key_t)strtol(arguments[0], NULL, 0), 0, 0));
    tell("message queue", mq_open(arguments[1], O_RDONLY));
}

/* hold KEY NAME: makes them, for everybody, and takes them away when its input ends. */
static void hold_ipc(char **arguments) {
    umask(0);
    alarm(0);
    int memory = shmget((key_t)strtol(arguments[0], NULL, 0), 4096, IPC_CREAT | IPC_EXCL | 0666);
    mqd_t queue = mq_open(arguments[1], O_RDWR | O_CREAT | O_EXCL, 0666, NULL);
    if (memory < 0 || queue < 0) perror("ipc");
    puts("held");
    fflush(stdout);
    while (getchar() != EOF) continue;
    shmctl(memory, IPC_RMID, NULL);
    mq_unlink(arguments[1]);
}

/* connect PORT: to a port of the host's loopback. */
static void connect_to_host(char **arguments) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in host = {.sin_family = AF_INET,
                               .sin_port = htons((in_port_t)atoi(arguments[0])),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    tell("connect", connect(fd, (struct sockaddr *)&host, sizeof host));
    close(fd);
}

/*
 * stuff: puts a letter into the input of the terminal that stdout may be, changes its settings, and tries to make the
 * terminal its own.
 */
static void stuff_terminal(char **arguments) {
    (void)arguments;
    char letter = 'x';
    struct termios settings;
    tell("TIOCSTI", ioctl(STDOUT_FILENO, TIOCSTI, &letter));
    char subcommand = 2; /* selects on a virtual console (ioctl_console(2)) */
    tell("TIOCLINUX", ioctl(STDOUT_FILENO, TIOCLINUX, &subcommand));
    tell("tcgetattr", tcgetattr(STDOUT_FILENO, &settings));
    tell("tcsetattr", tcsetattr(STDOUT_FILENO, TCSANOW, &settings));
    tell("TIOCEXCL", ioctl(STDOUT_FILENO, TIOCEXCL));
    tell("TIOCNXCL", ioctl(STDOUT_FILENO, TIOCNXCL));
    printf("stdout: %s\n", (fcntl(STDOUT_FILENO, F_GETFL) & O_ACCMODE) == O_WRONLY ? "to write" : "to read and write");
    if (fork() == 0) {
        tell("a session of its own", setsid());
        tell("TIOCSCTTY", ioctl(STDOUT_FILENO, TIOCSCTTY, 0));
        _exit(0);
    }
    wait(NULL);
    puts("stuffed");
}

/*
 * on-terminal PROGRAM...: runs a program on a terminal of its own; what it writes there is copied to where stdout was.
 */
static void run_on_terminal(char **arguments) {
    int log = dup(STDOUT_FILENO), master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0) {
        perror("terminal");
        exit(EXIT_FAILURE);
    }
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    alarm(0);
    if (fork() == 0) {
        char bytes[4096];
        close(slave);
        dup2(open("/dev/null", O_RDWR), STDOUT_FILENO);
        for (ssize_t size; (size = read(master, bytes, sizeof bytes)) > 0;)
            if (write(log, bytes, (size_t)size) != size) break;
        _exit(0);
    }
    close(log);
    setsid();
    ioctl(slave, TIOCSCTTY, 0);
    dup2(slave, STDOUT_FILENO);
    dup2(slave, STDERR_FILENO);
    execv(arguments[0], arguments);
    perror(arguments[0]);
    exit(EXIT_FAILURE);
}

static long write_text(const char *path, const char *text) {
    int file = open(path, O_WRONLY | O_CLOEXEC);
    if (file < 0) return -1;
    ssize_t written = write(file, text, strlen(text));
    close(file);
    return written;
}

/*
 * freeze HIERARCHY COUNT: makes groups of its own (`unified`: in cgroup v2), brings PID 1 into one and keeps that
 * frozen.
 */
static void freeze_init(char **arguments) {
    bool unified = strcmp(arguments[0], "unified") == 0;
    const char *file = unified ? "/tmp/groups/0/cgroup.freeze" : "/tmp/groups/0/freezer.state";
    const char *frozen = unified ? "1" : "FROZEN";
    int made = 0;
    mkdir("/tmp/groups", 0755);
    if (tell("mount",
             mount("cgroup", "/tmp/groups", unified ? "cgroup2" : "cgroup", 0, unified ? NULL : arguments[0])) < 0)
        return;
    for (; made < atoi(arguments[1]); made++) {
        char path[64];
        snprintf(path, sizeof path, "/tmp/groups/%d", made);
        if (mkdir(path, 0755) < 0) break;
    }
    printf("%d groups\n", made);
    tell("join", write_text("/tmp/groups/0/cgroup.procs", "1"));
    tell("freeze", write_text(file, frozen));
    puts("frozen");
    fflush(stdout);
    signal(SIGTERM, SIG_IGN);
    for (;;) {
        write_text(file, frozen);
        usleep(1000);
    }
}

const struct named_act kernel_acts[] = {
    {"users", become_root},
    {"agent", find_release_agent},
    {"freeze", freeze_init},
    {"with-key", run_with_key},
    {"keys", find_key},
    {"ipc", find_ipc},
    {"hold", hold_ipc},
    {"connect", connect_to_host},
    {"stuff", stuff_terminal},
    {"on-terminal", run_on_terminal},
    {NULL, NULL},
};
