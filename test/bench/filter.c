/*
 * What a filter costs a system call: `filter ROUNDS CALLS FILE...` makes so many calls in each round, under no filter
 * (-) or under that of a file (an array of struct sock_filter), and prints for each round and file two numbers,
 * nanoseconds per call: of getppid, which no filter looks at the arguments of, and of personality, which is let in by
 * its argument. For the former the kernel remembers what a filter says (since Linux 5.11); the latter runs it. Each
 * file has a process of its own, all of which live through all rounds, in turn: what else goes on in the machine meets
 * them alike.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 8, ONLY_ASKS = -1 };

static void die(const char *step) {
    perror(step);
    exit(1);
}

static void load(const char *path) {
    static struct sock_filter filter[BPF_MAXINSNS];
    if (strcmp(path, "-") == 0) return;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, filter, sizeof filter);
    struct sock_fprog program = {.len = (unsigned short)((size_t)size / sizeof *filter), .filter = filter};
    if (size <= 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
        die(path);
}

static double measure(long number, long argument, long calls) {
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (long i = 0; i < calls; i++) syscall(number, argument);
    clock_gettime(CLOCK_MONOTONIC, &end);
    return ((double)(end.tv_sec - begin.tv_sec) * 1e9 + (double)(end.tv_nsec - begin.tv_nsec)) / (double)calls;
}

/* Measures whenever a byte comes. */
static void serve(const char *path, int turn, int results, long calls) {
    char byte;
    load(path);
    while (read(turn, &byte, 1) == 1) {
        double took[2] = {measure(SYS_getppid, 0, calls), measure(SYS_personality, ONLY_ASKS & 0xffffffff, calls)};
        if (write(results, took, sizeof took) != sizeof took) die("write");
    }
    _exit(0);
}

int main(int argc, char **argv) {
    int turns[MOST][2], results[2], files = argc - 3;
    if (files < 1 || files > MOST || pipe2(results, O_CLOEXEC) < 0) return 2;
    long rounds = atol(argv[1]), calls = atol(argv[2]);
    for (int i = 0; i < files; i++) {
        if (pipe2(turns[i], O_CLOEXEC) < 0) die("pipe2");
        if (fork() == 0) {
            for (int other = 0; other <= i; other++) close(turns[other][1]);
            serve(argv[3 + i], turns[i][0], results[1], calls);
        }
    }
    close(results[1]);
    for (long round = 0; round < rounds; round++)
        for (int i = 0; i < files; i++) {
            double took[2];
            if (write(turns[i][1], "x", 1) != 1 || read(results[0], took, sizeof took) != sizeof took) die(argv[3 + i]);
            printf("%d %f %f\n", i, took[0], took[1]);
        }
    return 0;
}
