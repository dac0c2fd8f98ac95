/*
 * What joining a container costs at least: join-floor PID ROUNDS GROUP [PROCS...] forks, into the v2 group when GROUP
 * is not empty, joins the control groups of v1, enters the namespaces of PID, forks into its PID namespace and executes
 * `/probe print 1 x` there. A line for each round: the nanoseconds until its first byte has come, and those of the
 * processor that all of it took.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ALL = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP };

static long long now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000ll + now.tv_nsec;
}

static long long processor_ns(void) {
    struct rusage own, children;
    getrusage(RUSAGE_SELF, &own);
    getrusage(RUSAGE_CHILDREN, &children);
    const struct timeval all[] = {own.ru_utime, own.ru_stime, children.ru_utime, children.ru_stime};
    long long sum = 0;
    for (int i = 0; i < 4; i++) sum += all[i].tv_sec * 1000000000ll + all[i].tv_usec * 1000ll;
    return sum;
}

static pid_t fork_into(int group) {
    struct clone_args args = {.exit_signal = SIGCHLD};
    if (group >= 0) {
        args.flags = CLONE_INTO_CGROUP;
        args.cgroup = (unsigned long)group;
    }
    return (pid_t)syscall(SYS_clone3, &args, sizeof args);
}

static void join(int target, int output, char **procs) {
    char *argv[] = {"/probe", "print", "1", "x", NULL}, *env[] = {NULL};
    for (; *procs != NULL; procs++) {
        int file = open(*procs, O_WRONLY | O_CLOEXEC);
        if (file < 0 || write(file, "0", 1) != 1) exit(3);
    }
    if (setns(target, ALL) < 0) exit(4);
    pid_t child = fork();
    if (child == 0) {
        dup2(output, STDOUT_FILENO);
        execve("/probe", argv, env);
        _exit(5);
    }
    int status;
    waitpid(child, &status, 0);
    _exit(WEXITSTATUS(status));
}

int main(int argc, char **argv) {
    int target = argc < 4 ? -1 : (int)syscall(SYS_pidfd_open, atoi(argv[1]), 0);
    int group = argc < 4 || argv[3][0] == '\0' ? -1 : open(argv[3], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (target < 0) return EXIT_FAILURE;
    for (int round = 0; round < atoi(argv[2]); round++) {
        int ends[2], status;
        char byte;
        if (pipe2(ends, O_CLOEXEC) < 0) return EXIT_FAILURE;
        long long begin = now_ns(), before = processor_ns();
        pid_t child = fork_into(group);
        if (child == 0) join(target, ends[1], argv + 4);
        close(ends[1]);
        if (read(ends[0], &byte, 1) != 1) return EXIT_FAILURE;
        long long end = now_ns();
        waitpid(child, &status, 0);
        close(ends[0]);
        if (status != 0) return EXIT_FAILURE;
        printf("%lld %lld\n", end - begin, processor_ns() - before);
        /* As probes and requests do, one finds the caches as others have left them. */
        usleep(5000);
    }
}
