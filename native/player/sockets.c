/*
 * The sockets of a start, bound under a name of their own and moved to their place (controllers/sandbox/start-
 * descriptors.ts).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "stage.h"

enum { BACKLOG = 128 };

static int bind_draft(const struct deed *deed, const char *draft) {
    static const int TYPES[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
    if (deed->number[0] >= sizeof TYPES / sizeof TYPES[0]) {
        errno = EINVAL;
        return -1;
    }
    int type = TYPES[deed->number[0]], on = 1;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(draft) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(address.sun_path, draft, strlen(draft) + 1);
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    bool bound = (deed->number[1] == 0 || setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0) &&
                 bind(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
                 (type == SOCK_DGRAM || listen(fd, BACKLOG) == 0);
    if (bound) return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

/* The owner first: a change of it takes the set-id bits away (chown(2)). */
static int set_owner(const char *draft, const struct deed *deed) {
    int file = open(draft, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    int result = file >= 0 && chown(path, (uid_t)deed->number[2], (gid_t)deed->number[3]) == 0 &&
                         chmod(path, (mode_t)deed->number[4]) == 0
                     ? 0
                     : -1;
    int error = errno;
    if (file >= 0) close(file);
    errno = error;
    return result;
}

int do_socket(struct stage *stage, const struct deed *deed) {
    uint8_t unique[6];
    char draft[64];
    int parent = open(deed->text[0], O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (parent < 0 || getrandom(unique, sizeof unique, 0) != sizeof unique)
        return refuse(stage, errno, "%s", deed->text[0]);
    int length = snprintf(draft, sizeof draft, "/proc/self/fd/%d/.new-", parent);
    for (size_t i = 0; i < sizeof unique; i++) snprintf(draft + length + 2 * i, 3, "%02x", unique[i]);
    int fd = bind_draft(deed, draft);
    int error = fd < 0 ? errno : 0;
    if (error == 0 && (set_owner(draft, deed) != 0 || renameat(AT_FDCWD, draft, parent, deed->text[1]) != 0)) {
        error = errno;
        unlink(draft);
        close(fd);
    }
    close(parent);
    return error == 0 ? put_slot(stage, deed->slot, fd, deed->text[1])
                      : refuse(stage, error, "the socket %s", deed->text[1]);
}
