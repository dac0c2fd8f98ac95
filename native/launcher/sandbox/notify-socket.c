#define _GNU_SOURCE
#include "notify-socket.h"

#include <errno.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../ancillary.h"
#include "runs.h"

int run_notify(const struct op *op, const struct birth *birth, struct failure *why) {
    const char *text = op->notify.name;
    bool is_path = text[0] == '/';
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    size_t size = strlen(text);
    memcpy(name.sun_path + (is_path ? 0 : 1), text, size);
    int yes = 1, fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return fail(why, OP_NOTIFY, errno, "socket");
    *birth->notify = fd;
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + size);
    /* Everybody in the container may say something: who connects must be allowed to write (unix(7)). */
    mode_t mask = umask(0);
    int failed = setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes) < 0 ||
                 bind(fd, (const struct sockaddr *)&name, length) < 0;
    umask(mask);
    return failed ? fail(why, OP_NOTIFY, errno, "%s%s", is_path ? "" : "@", text) : 0;
}

void tell_prepared(struct birth *birth) {
    struct control_message message = {.kind = CONTROL_PREPARED};
    if (*birth->notify < 0) {
        tell_launcher(birth->control, message);
        return;
    }
    alignas(struct cmsghdr) char space[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec part = {.iov_base = &message, .iov_len = sizeof message};
    struct msghdr packet = {.msg_iov = &part, .msg_iovlen = 1};
    attach(&packet, space, SCM_RIGHTS, birth->notify, sizeof(int));
    if (sendmsg(birth->control, &packet, MSG_NOSIGNAL) < 0) _exit(1);
    close(*birth->notify);
    *birth->notify = -1;
}
