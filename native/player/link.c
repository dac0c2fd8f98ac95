#define _GNU_SOURCE
#include "link.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { E_HELLO = 64, E_SYNCED = 68, E_RESULT = 69 };
/* Two frames: one that is whole, one that begins. */
enum { IN_SIZE = 2 * (FRAME_LIMIT + 4) };

static void take_hello(struct link *link, struct cursor *c) {
    if (take_u32(c) != WIRE_VERSION) link->lost = true;
    link->pid = take_u32(c);
    take_u32(c); /* starts */
    take_u64(c); /* generation */
    take_u32(c); /* deaths */
    link->started_ns = take_u64(c);
    if (c->failed) link->lost = true;
}

static void take_result(struct link *link, uint32_t serial, struct cursor *c) {
    if (serial == 0 || serial > link->last) return;
    struct answered *answered = &link->answers[serial];
    answered->step = take_u16(c);
    answered->error = take_u32(c);
    answered->answer = answered->step == 0 && !c->failed ? ANSWER_DONE : ANSWER_FAILED;
}

/* Takes the frames that are whole. Events of attempts are the reconciler's. */
static void take_frames(struct link *link) {
    size_t at = 0;
    while (link->in_size - at >= FRAME_HEADER) {
        struct cursor c = cursor_over(link->in + at, link->in_size - at);
        uint32_t size = take_u32(&c);
        if (size < FRAME_HEADER - 4 || size > FRAME_LIMIT) {
            link->lost = true;
            return;
        }
        if (link->in_size - at < (size_t)size + 4) break;
        uint16_t type = take_u16(&c);
        take_u16(&c);
        uint32_t serial = take_u32(&c);
        struct cursor body = take_cursor(&c, size - (FRAME_HEADER - 4));
        if (type == E_HELLO) take_hello(link, &body);
        if (type == E_SYNCED) link->synced = true;
        if (type == E_RESULT) take_result(link, serial, &body);
        at += (size_t)size + 4;
    }
    memmove(link->in, link->in + at, link->in_size - at);
    link->in_size -= at;
}

/* Waits until there is something to read or, with POLLOUT, room to write, and reads. */
static void turn(struct link *link, short events) {
    struct pollfd wait = {.fd = link->fd, .events = (short)(POLLIN | events)};
    if (poll(&wait, 1, -1) < 0 && errno != EINTR) link->lost = true;
    if ((wait.revents & (POLLIN | POLLHUP | POLLERR)) == 0) return;
    ssize_t size = recv(link->fd, link->in + link->in_size, IN_SIZE - link->in_size, MSG_DONTWAIT);
    if (size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR)) link->lost = true;
    if (size <= 0) return;
    link->in_size += (size_t)size;
    take_frames(link);
}

int link_open(struct link *link, int fd) {
    *link = (struct link){.fd = fd};
    link->in = malloc(IN_SIZE);
    link->answers = calloc(REQUEST_LIMIT, sizeof *link->answers);
    if (link->in == NULL || link->answers == NULL) return -1;
    while (!link->synced && !link->lost) turn(link, 0);
    return link->lost ? -1 : 0;
}

/* The descriptors go with the first byte; a short send is continued without them. */
static bool send_all(struct link *link, struct iovec *pieces, size_t count, const int *fds, size_t nfds) {
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(FRAME_FDS * sizeof(int))];
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = count};
    if (nfds > 0) {
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
        memset(control, 0, sizeof control);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(nfds * sizeof(int));
        memcpy(CMSG_DATA(header), fds, nfds * sizeof(int));
    }
    while (!link->lost && message.msg_iovlen > 0) {
        ssize_t sent = sendmsg(link->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) turn(link, POLLOUT);
        if (sent < 0 && errno != EAGAIN && errno != EINTR) return false;
        if (sent < 0) continue;
        message.msg_control = NULL;
        message.msg_controllen = 0;
        for (size_t left = (size_t)sent; message.msg_iovlen > 0;) {
            struct iovec *first = message.msg_iov;
            if (left < first->iov_len) {
                first->iov_base = (char *)first->iov_base + left;
                first->iov_len -= left;
                break;
            }
            left -= first->iov_len;
            message.msg_iov++;
            message.msg_iovlen--;
        }
    }
    return !link->lost;
}

uint32_t link_request(struct link *link, uint16_t type, const struct span *parts, size_t count, const int *fds,
                      size_t nfds) {
    enum { PARTS = 4 };
    if (count > PARTS || nfds > FRAME_FDS || link->last + 1 >= REQUEST_LIMIT) return 0;
    uint8_t header[FRAME_HEADER];
    struct iovec pieces[PARTS + 1] = {{.iov_base = header, .iov_len = sizeof header}};
    size_t size = FRAME_HEADER - 4;
    for (size_t i = 0; i < count; i++) {
        pieces[i + 1] = (struct iovec){.iov_base = (void *)(uintptr_t)parts[i].data, .iov_len = parts[i].size};
        size += parts[i].size;
    }
    if (size > FRAME_LIMIT) return 0;
    struct writer w = writer_over(header, sizeof header);
    put_u32(&w, (uint32_t)size);
    put_u16(&w, type);
    put_u16(&w, (uint16_t)nfds);
    put_u32(&w, link->last + 1);
    return send_all(link, pieces, count + 1, fds, nfds) ? ++link->last : 0;
}

enum answer link_wait(struct link *link, uint32_t serial) {
    if (serial == 0 || serial > link->last) return ANSWER_FAILED;
    while (link->answers[serial].answer == ANSWER_PENDING && !link->lost) turn(link, 0);
    return link->answers[serial].answer == ANSWER_DONE ? ANSWER_DONE : ANSWER_FAILED;
}

const struct answered *link_answer(const struct link *link, uint32_t serial) { return &link->answers[serial]; }
