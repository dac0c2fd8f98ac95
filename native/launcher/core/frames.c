#define _GNU_SOURCE
#include "frames.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../memory.h"

int inbox_open(struct inbox *in) {
    in->data = dontfork_alloc(INBOX_SIZE);
    return in->data == NULL ? -1 : 0;
}

int outbox_open(struct outbox *out) {
    out->data = dontfork_alloc(OUTBOX_SIZE);
    return out->data == NULL ? -1 : 0;
}

static void drop_fds(struct inbox *in, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (in->fds[i] >= 0) close(in->fds[i]);
    in->nfds -= count;
    memmove(in->fds, in->fds + count, in->nfds * sizeof in->fds[0]);
}

void inbox_clear(struct inbox *in) {
    drop_fds(in, in->nfds);
    in->begin = in->end = 0;
    madvise(in->data, INBOX_SIZE, MADV_DONTNEED);
}

void outbox_clear(struct outbox *out) {
    out->begin = out->end = 0;
    out->overrun = false;
    madvise(out->data, OUTBOX_SIZE, MADV_DONTNEED);
}

enum received inbox_receive(struct inbox *in, int socket) {
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(FRAME_FDS * sizeof(int))];
    memmove(in->data, in->data + in->begin, in->end - in->begin);
    in->end -= in->begin;
    in->begin = 0;
    struct iovec room = {.iov_base = in->data + in->end, .iov_len = INBOX_SIZE - in->end};
    struct msghdr message = {
        .msg_iov = &room, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t size = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (size < 0) return errno == EAGAIN || errno == EINTR ? RECEIVED_NOTHING : RECEIVED_END;
    bool fits = (message.msg_flags & MSG_CTRUNC) == 0;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(&message); part != NULL; part = CMSG_NXTHDR(&message, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
        size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
            if (in->nfds < INBOX_FDS) {
                in->fds[in->nfds++] = fd;
            } else {
                close(fd);
                fits = false;
            }
        }
    }
    if (!fits) return RECEIVED_BAD;
    if (size == 0) return RECEIVED_END;
    in->end += (size_t)size;
    return RECEIVED_SOME;
}

enum framed inbox_frame(struct inbox *in, struct frame *frame) {
    size_t there = in->end - in->begin;
    if (there < FRAME_HEADER) return FRAMED_NONE;
    struct cursor header = cursor_over(in->data + in->begin, FRAME_HEADER);
    uint32_t size = take_u32(&header);
    frame->type = take_u16(&header);
    frame->nfds = take_u16(&header);
    frame->serial = take_u32(&header);
    if (size < FRAME_HEADER - 4 || size > FRAME_LIMIT || frame->nfds > FRAME_FDS || frame->serial == 0)
        return FRAMED_BAD;
    frame->size = (size_t)size + 4;
    if (there < frame->size) return FRAMED_NONE;
    if (frame->nfds > in->nfds) return FRAMED_BAD;
    frame->body = cursor_over(in->data + in->begin + FRAME_HEADER, frame->size - FRAME_HEADER);
    frame->fds = in->fds;
    return FRAMED_ONE;
}

void inbox_drop(struct inbox *in, const struct frame *frame) {
    drop_fds(in, frame->nfds);
    in->begin += frame->size;
}

struct writer out_begin(struct outbox *out, uint16_t type, uint32_t serial) {
    if (out->begin == out->end) out->begin = out->end = 0;
    if (out->begin > 0 && OUTBOX_SIZE - out->end < FRAME_LIMIT + 4) {
        memmove(out->data, out->data + out->begin, out->end - out->begin);
        out->end -= out->begin;
        out->begin = 0;
    }
    struct writer w = writer_over(out->data + out->end, OUTBOX_SIZE - out->end);
    frame_begin(&w, type, serial);
    return w;
}

void out_end(struct outbox *out, struct writer *w) {
    size_t size = frame_end(w);
    if (size == 0) out->overrun = true;
    out->end += size;
}

size_t out_queued(const struct outbox *out) { return out->end - out->begin; }

bool out_flush(struct outbox *out, int socket) {
    while (out->begin < out->end) {
        ssize_t sent = send(socket, out->data + out->begin, out->end - out->begin, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) return errno == EAGAIN;
        out->begin += (size_t)sent;
    }
    /* A large answer is over: its pages go back. */
    if (out->end > RECORD_LIMIT * 16) madvise(out->data, OUTBOX_SIZE, MADV_DONTNEED);
    out->begin = out->end = 0;
    return true;
}
