#define _GNU_SOURCE
#include "control.h"

#include <stdalign.h>
#include <string.h>
#include <sys/socket.h>

ssize_t control_receive(int control, struct control_message *message, pid_t *sender, int *fd) {
    alignas(struct cmsghdr) char space[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(sizeof(int))];
    struct iovec part = {.iov_base = message, .iov_len = sizeof *message};
    struct msghdr packet = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space};
    /* What finds no room is closed by the kernel. */
    packet.msg_controllen = fd != NULL ? sizeof space : CMSG_SPACE(sizeof(struct ucred));
    ssize_t size = recvmsg(control, &packet, MSG_DONTWAIT | MSG_TRUNC | MSG_CMSG_CLOEXEC);
    *sender = 0;
    struct cmsghdr *header = size < 0 ? NULL : CMSG_FIRSTHDR(&packet);
    for (; header != NULL; header = CMSG_NXTHDR(&packet, header)) {
        if (header->cmsg_level != SOL_SOCKET) continue;
        if (header->cmsg_type == SCM_CREDENTIALS) {
            struct ucred who;
            memcpy(&who, CMSG_DATA(header), sizeof who);
            *sender = who.pid;
        }
        if (header->cmsg_type == SCM_RIGHTS && fd != NULL) memcpy(fd, CMSG_DATA(header), sizeof *fd);
    }
    return size;
}
