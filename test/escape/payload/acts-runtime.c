/* Against the runtime's own processes: the init is a copy of the launcher, and holds one end of a socket to it. */
#define _GNU_SOURCE
#include "hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t pid_of(const char *text) { return text != NULL ? atoi(text) : 1; }

/* exe [PID]: CVE-2019-5736, the program of a process overwritten through /proc. */
static void overwrite_program(char **arguments) {
    char path[64], again[64];
    snprintf(path, sizeof path, "/proc/%d/exe", pid_of(arguments[0]));
    tell("open for writing", open(path, O_WRONLY | O_CLOEXEC));
    int fd = (int)tell("open for reading", open(path, O_RDONLY | O_CLOEXEC));
    if (fd < 0) return;
    snprintf(again, sizeof again, "/proc/self/fd/%d", fd);
    tell("open again for writing", open(again, O_WRONLY | O_CLOEXEC));
    printf("sealed: %s\n",
           fcntl(fd, F_GET_SEALS) == (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) ? "yes" : "no");
}

/* signal PID: whether a process can be named at all; 0 is no signal. */
static void signal_process(char **arguments) { tell("signal", kill(pid_of(arguments[0]), 0)); }

/* kill-all: every signal to everybody and to PID 1. */
static void kill_all(char **arguments) {
    (void)arguments;
    for (int number = 1; number < NSIG; number++) signal(number, SIG_IGN);
    for (int number = 1; number < NSIG; number++) kill(1, number);
    tell("SIGKILL to all", kill(-1, SIGKILL));
    tell("SIGKILL to PID 1", kill(1, SIGKILL));
    puts("still here");
}

/* trace [PID]: ptrace, and what else reaches into a process. */
static void trace_process(char **arguments) {
    pid_t pid = pid_of(arguments[0]);
    char path[64];
    tell("attach", ptrace(PTRACE_SEIZE, pid, NULL, NULL));
    snprintf(path, sizeof path, "/proc/%d/mem", pid);
    tell("memory", open(path, O_RDWR | O_CLOEXEC));
    snprintf(path, sizeof path, "/proc/%d/root/.", pid);
    tell("root", open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    snprintf(path, sizeof path, "/proc/%d/cwd/.", pid);
    tell("working directory", open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    snprintf(path, sizeof path, "/proc/%d/environ", pid);
    tell("environment", open(path, O_RDONLY | O_CLOEXEC));
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    tell("descriptor 0", syscall(SYS_pidfd_getfd, pidfd, 0, 0));
}

static long count_in(const unsigned char *bytes, size_t size, const char *needle) {
    long count = 0;
    size_t length = strlen(needle);
    for (const unsigned char *at = bytes; (at = memmem(at, size - (size_t)(at - bytes), needle, length)) != NULL; at++)
        count++;
    return count;
}

/* Reads all of a process that can be read, mapping by mapping. */
static void search_memory(pid_t pid, const char *needle, long *found, unsigned long *read_bytes) {
    char path[64], line[512];
    snprintf(path, sizeof path, "/proc/%d/mem", pid);
    int memory = open(path, O_RDONLY | O_CLOEXEC);
    snprintf(path, sizeof path, "/proc/%d/maps", pid);
    FILE *maps = fopen(path, "re");
    while (memory >= 0 && maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        unsigned long begin, end;
        if (sscanf(line, "%lx-%lx r", &begin, &end) != 2 || end - begin > 256ul << 20) continue;
        unsigned char *copy = malloc(end - begin);
        ssize_t size = copy != NULL ? pread(memory, copy, end - begin, (off_t)begin) : -1;
        if (size > 0) {
            *read_bytes += (unsigned long)size;
            *found += count_in(copy, (size_t)size, needle);
        }
        free(copy);
    }
    if (maps != NULL) fclose(maps);
    close(memory);
}

/* search PID WORD...: looks for each word, which comes backwards: what is given to this program is no find. */
static void search_process(char **arguments) {
    pid_t pid = pid_of(arguments[0]);
    for (char **word = arguments + 1; *word != NULL; word++) {
        long found = 0;
        unsigned long size = 0;
        size_t length = strlen(*word);
        for (size_t i = 0; i < length / 2; i++) {
            char other = (*word)[i];
            (*word)[i] = (*word)[length - 1 - i];
            (*word)[length - 1 - i] = other;
        }
        search_memory(pid, *word, &found, &size);
        printf("%s: %s in %s\n", *word, found ? "found" : "not found", size ? "readable memory" : "nothing readable");
    }
}

/* The init's end of the socket between it and the launcher. */
static int steal_control(void) {
    int pidfd = (int)syscall(SYS_pidfd_open, 1, 0);
    for (int number = 0; number < 1024; number++) {
        int type, fd = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
        socklen_t size = sizeof type;
        if (fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET) return fd;
        close(fd);
    }
    return -1;
}

static void send_descriptors(int control) {
    enum { COUNT = 250 };
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(COUNT * sizeof(int))];
    } rights = {
        .header = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(COUNT * sizeof(int))}};
    int *fds = (int *)(void *)CMSG_DATA(&rights.header);
    for (int i = 0; i < COUNT; i++) fds[i] = STDOUT_FILENO;
    struct iovec byte = {.iov_base = (void *)"x", .iov_len = 1};
    struct msghdr message = {
        .msg_iov = &byte, .msg_iovlen = 1, .msg_control = &rights, .msg_controllen = sizeof rights};
    long sent = 0;
    while (sent < 64 && sendmsg(control, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) sent++;
    printf("messages with descriptors: %s\n", sent > 0 ? "sent" : strerrorname_np(errno));
}

static void send_noise(int control, uint32_t first) {
    static unsigned char bytes[200000];
    static const size_t sizes[] = {0, 1, 3, 4, 16, 255, 256, 257, 300, 4096, 65536, sizeof bytes};
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (unsigned char)(i * 2654435761u >> 13);
    memcpy(bytes, &first, sizeof first);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        send(control, bytes, sizes[i], MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* hijack HOW: a process that may trace takes the init's socket and speaks to the launcher in its place. */
static void hijack_init(char **arguments) {
    const char *how = arguments[0];
    int control = steal_control();
    if (tell("the init's socket", control) < 0) return;
    if (strcmp(how, "noise") == 0)
        for (uint32_t kind = 0; kind < 8; kind++) send_noise(control, kind);
    else if (strcmp(how, "descriptors") == 0)
        send_descriptors(control);
    else if (strcmp(how, "hang-up") == 0)
        tell("hang-up", shutdown(control, SHUT_RDWR));
    else if (strcmp(how, "flood") == 0)
        for (long i = 0; i < 200000; i++) send(control, &i, sizeof i, MSG_NOSIGNAL);
    puts("spoken");
    fflush(stdout);
    for (;;) pause();
}

const struct named_act runtime_acts[] = {
    {"exe", overwrite_program}, {"signal", signal_process}, {"kill-all", kill_all}, {"trace", trace_process},
    {"search", search_process}, {"hijack", hijack_init},    {NULL, NULL},
};
