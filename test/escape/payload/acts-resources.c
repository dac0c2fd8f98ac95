/* By taking all there is: processes, memory, descriptors, watches; and by saying anything to whoever reads. */
#define _GNU_SOURCE
#include "hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* Says that it holds what it could get, and goes on holding it. */
static void hold(const char *what) {
    tell(what, -1);
    fflush(stdout);
    alarm(0);
    for (;;) pause();
}

/* say TEXT: says it, and stays. */
static void say_and_stay(char **arguments) {
    puts(arguments[0]);
    fflush(stdout);
    alarm(0);
    for (;;) pause();
}

/* forks: a child, and a child's child, until there is no room; none of them ends. */
static void fork_all(char **arguments) {
    (void)arguments;
    enum { ENOUGH = 500 };
    for (int i = 0; i < ENOUGH; i++) {
        pid_t child = fork();
        if (child < 0) hold("fork");
        if (child == 0)
            for (;;) pause();
    }
    errno = 0;
    hold("fork");
}

/* memory: as much as there is. */
static void take_memory(char **arguments) {
    (void)arguments;
    for (size_t mebibytes = 1; mebibytes < 1 << 12; mebibytes *= 2)
        tell("memory", mmap(NULL, mebibytes << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE,
                            -1, 0) == MAP_FAILED
                           ? -1
                           : 0);
}

/* descriptors: as many as it may have, in as many children as it may have. */
static void take_descriptors(char **arguments) {
    (void)arguments;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    while (socket(AF_UNIX, SOCK_STREAM, 0) >= 0) continue;
    hold("socket");
}

/* watches: every inotify instance and watch of its user. */
static void take_watches(char **arguments) {
    (void)arguments;
    int fd, last = -1;
    while ((fd = inotify_init1(IN_CLOEXEC)) >= 0) last = fd;
    printf("an instance: %s\n", last < 0 ? "none" : "some");
    hold("inotify_init");
}

/* shout: bytes that mean something to somebody, on every descriptor it has. */
static void shout(char **arguments) {
    (void)arguments;
    static unsigned char noise[1 << 16];
    static const char words[] = "\033]0;title\a\033[2J\r\n{\"request\":\"shutdown\"}\n\0\0\0\1\xff\xfe\xc0\x80\n";
    for (size_t i = 0; i < sizeof noise; i++) noise[i] = (unsigned char)(i * 2654435761u >> 11);
    signal(SIGPIPE, SIG_IGN);
    for (int fd = 0; fd < 256; fd++) {
        if (fcntl(fd, F_GETFD) < 0) continue;
        fcntl(fd, F_SETFL, O_NONBLOCK);
        fcntl(fd, F_SETOWN, 1);
        for (int round = 0; round < 20; round++)
            if (write(fd, words, sizeof words) < 0 || write(fd, noise, sizeof noise) < 0) break;
        ftruncate(fd, 0);
        lseek(fd, 0, SEEK_SET);
        shutdown(fd, SHUT_RDWR);
    }
}

const struct named_act resource_acts[] = {
    {"say", say_and_stay},
    {"forks", fork_all},
    {"memory", take_memory},
    {"descriptors", take_descriptors},
    {"watches", take_watches},
    {"shout", shout},
    {NULL, NULL},
};
