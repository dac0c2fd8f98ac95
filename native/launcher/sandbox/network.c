#define _GNU_SOURCE
#include "network.h"

#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

int raise_loopback(struct failure *why) {
    struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    /* A kernel without IPv4 has no 127.0.0.1; a launcher without CAP_NET_ADMIN leaves lo as the kernel makes it. */
    if (fd < 0) return errno == EAFNOSUPPORT ? 0 : fail(why, STEP_INIT, errno, "socket");
    int error = ioctl(fd, SIOCSIFFLAGS, &lo) < 0 ? errno : 0;
    close(fd);
    return error == 0 || error == EPERM ? 0 : fail(why, STEP_INIT, error, "bringing lo up");
}

int enter_network(const struct birth *birth, struct failure *why) {
    const struct op *namespaces = ops_find(birth->prepare, OP_NAMESPACES);
    if (namespaces == NULL || !(namespaces->namespaces.flags & CLONE_NEWNET)) return 0;
    if (birth->network < 0) return raise_loopback(why);
    if (setns(birth->network, CLONE_NEWNET) == 0) return 0;
    return fail(why, OP_NAMESPACES, errno, "network namespace");
}
