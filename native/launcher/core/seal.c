#define _GNU_SOURCE
#include "seal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../syscalls.h"
#include "say.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

static const int ALL_SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

bool is_sealed(int fd) {
    int seals = fcntl(fd, F_GET_SEALS);
    return seals >= 0 && (seals & ALL_SEALS) == ALL_SEALS;
}

static int make_memfd(void) {
    unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    int fd = memfd_create("northstate-launcher", flags | MFD_EXEC);
    /* Kernels before 6.3 do not know MFD_EXEC: there every memfd is executable. */
    return fd < 0 && errno == EINVAL ? memfd_create("northstate-launcher", flags) : fd;
}

static int copy_program(int from, int to) {
    struct stat program;
    if (fstat(from, &program) != 0) return -1;
    for (off_t left = program.st_size; left > 0;) {
        ssize_t copied = sendfile(to, from, NULL, (size_t)left);
        if (copied < 0 && errno == EINTR) continue;
        if (copied <= 0) return -1;
        left -= copied;
    }
    return 0;
}

int seal_program(char **argv) {
    int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (self < 0) {
        say("/proc/self/exe cannot be opened: %s; is /proc mounted?", strerror(errno));
        return -1;
    }
    if (is_sealed(self)) return close(self);
    int copy = make_memfd();
    if (copy < 0 || copy_program(self, copy) != 0) {
        say("the program cannot be copied into a memfd: %s", strerror(errno));
    } else if (fcntl(copy, F_ADD_SEALS, ALL_SEALS) != 0 || !is_sealed(copy)) {
        say("the program's memfd cannot be sealed: %s", strerror(errno));
    } else {
        sys_execveat(copy, argv, environ);
        say("the sealed program cannot be executed: %s", strerror(errno));
    }
    close(self);
    if (copy >= 0) close(copy);
    return -1;
}
