#define _GNU_SOURCE
#include "look.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { LOOK_FILE, LOOK_SOCKET };

/* EAGAIN: its queue is full, so that it does not answer in time. */
static int connect_as(int type, const char *path) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof to.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(to.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int result = fd < 0 ? -1 : connect(fd, (const struct sockaddr *)&to, sizeof to);
    int error = errno;
    if (fd >= 0) close(fd);
    errno = error;
    return result;
}

static int look_for_socket(const char *path) {
    static const int types[] = {SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (connect_as(types[i], path) == 0)
            return 0;
        else if (errno != EPROTOTYPE)
            return -1;
    return -1;
}

int look_for(const struct op_look *look, struct failure *why) {
    struct stat status;
    int result = look->kind == LOOK_SOCKET ? look_for_socket(look->path) : stat(look->path, &status);
    return result == 0 ? 0 : fail(why, OP_LOOK, errno, "%s", look->path);
}
