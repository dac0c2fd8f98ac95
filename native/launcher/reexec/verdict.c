#define _GNU_SOURCE
#include "verdict.h"

#include <errno.h>
#include <stdalign.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../ancillary.h"

int verdict_send(int socket, const struct proof_verdict *verdict) {
    uint8_t *bytes = malloc(VERDICT_LIMIT);
    if (bytes == NULL) return -1;
    struct writer w = writer_over(bytes, VERDICT_LIMIT);
    put_u32(&w, VERDICT_VERSION);
    put_u8(&w, verdict->proven);
    put_bytes(&w, verdict->report.data, verdict->report.size);
    put_bytes(&w, verdict->command.data, verdict->command.size);
    struct iovec part = {.iov_base = bytes, .iov_len = (size_t)(w.at - w.start)};
    alignas(struct cmsghdr) char space[CMSG_SPACE(sizeof(int))] = {0};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (verdict->program >= 0) attach(&message, space, SCM_RIGHTS, &verdict->program, sizeof(int));
    ssize_t sent = -1;
    if (w.failed)
        errno = EMSGSIZE;
    else
        sent = sendmsg(socket, &message, MSG_NOSIGNAL);
    int error = errno;
    free(bytes);
    errno = error;
    return sent < 0 ? -1 : 0;
}

static bool parse(struct cursor c, struct proof_verdict *verdict) {
    uint32_t version = take_u32(&c);
    uint8_t proven = take_u8(&c);
    verdict->proven = proven == 1;
    verdict->report = take_bytes(&c);
    verdict->command = take_bytes(&c);
    bool ends = verdict->command.size > 0 && verdict->command.data[verdict->command.size - 1] == '\0';
    return cursor_finished(&c) && version == VERDICT_VERSION && proven <= 1 && (proven == 0 || ends);
}

int verdict_receive(int socket, uint8_t *space, struct proof_verdict *verdict) {
    alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    struct iovec part = {.iov_base = space, .iov_len = VERDICT_LIMIT};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t size = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    *verdict = (struct proof_verdict){.program = -1};
    if (size < 0) return errno == EAGAIN || errno == EINTR ? 0 : -1;
    attached_fds(&message, &verdict->program);
    if (size > 0 && !(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) && parse(cursor_over(space, (size_t)size), verdict))
        return 1;
    if (verdict->program >= 0) close(verdict->program);
    return -1;
}
