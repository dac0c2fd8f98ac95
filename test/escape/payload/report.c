/* What the kernel lets a process find out about itself without /proc. */
#define _GNU_SOURCE
#include "hostile.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/keyctl.h>
#include <linux/securebits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

extern char **environ;

static void report_securebits(void) {
    static const struct {
        int bit;
        const char *name;
    } bits[] = {
        {SECBIT_NOROOT, "noroot"},
        {SECBIT_NOROOT_LOCKED, "noroot-locked"},
        {SECBIT_NO_SETUID_FIXUP, "no-setuid-fixup"},
        {SECBIT_NO_SETUID_FIXUP_LOCKED, "no-setuid-fixup-locked"},
        {SECBIT_KEEP_CAPS, "keep-caps"},
        {SECBIT_KEEP_CAPS_LOCKED, "keep-caps-locked"},
        {SECBIT_NO_CAP_AMBIENT_RAISE, "no-cap-ambient-raise"},
        {SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED, "no-cap-ambient-raise-locked"},
    };
    int set = prctl(PR_GET_SECUREBITS);
    printf("securebits:");
    for (size_t i = 0; i < sizeof bits / sizeof *bits; i++)
        if (set & bits[i].bit) printf(" %s", bits[i].name);
    putchar('\n');
}

static void report_process(void) {
    char directory[4096];
    mode_t mask = umask(0);
    umask(mask);
    printf("pid %d, parent %d, session %d, group %d\n", getpid(), getppid(), getsid(0), getpgid(0));
    printf("umask %03o, working directory %s\n", mask, getcwd(directory, sizeof directory) != NULL ? directory : "?");
}

/* Its name tells whose it is. In a child: a filter may kill for the call. */
static void report_keyring(void *unused) {
    (void)unused;
    char text[256] = "none";
    long id = syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0);
    if (id >= 0) syscall(SYS_keyctl, KEYCTL_DESCRIBE, id, text, sizeof text - 1);
    const char *name = strrchr(text, ';');
    printf("session keyring: %s\n", name != NULL ? name + 1 : text);
}

static void report_network(void) {
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in local = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    tell("loopback", fd < 0 ? -1 : connect(fd, (struct sockaddr *)&local, sizeof local));
    close(fd);
}

static void report_environment(void) {
    for (char **each = environ; *each != NULL; each++) printf("environment %s\n", *each);
}

void report(void) {
    report_process();
    report_securebits();
    report_environment();
    if (in_child(report_keyring, NULL) != 0) puts("session keyring: out of reach");
    report_network();
    report_files();
    report_calls();
}
