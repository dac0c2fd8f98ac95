#define _GNU_SOURCE
#include "control.h"

#include <stdalign.h>
#include <string.h>
#include <sys/socket.h>

ssize_t control_receive(int control, struct control_message *message, pid_t *sender) {
    alignas(struct cmsghdr) char space[CMSG_SPACE(sizeof(struct ucred))];
    struct iovec part = {.iov_base = message, .iov_len = sizeof *message};
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    ssize_t size = recvmsg(control, &header, MSG_DONTWAIT | MSG_TRUNC | MSG_CMSG_CLOEXEC);
    *sender = 0;
    struct cmsghdr *credentials = size < 0 ? NULL : CMSG_FIRSTHDR(&header);
    if (credentials != NULL && credentials->cmsg_type == SCM_CREDENTIALS) {
        struct ucred who;
        memcpy(&who, CMSG_DATA(credentials), sizeof who);
        *sender = who.pid;
    }
    return size;
}
