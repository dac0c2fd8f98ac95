/*
 * tcp and http: in this process, over a socket that was made in the container's network namespace. It connects where
 * the document says, as the container itself could; of an answer no more is read than the first line.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "probes.h"

enum { STATUS_LINE = 12, REQUEST = 512 }; /* "HTTP/1.0 200" */

/* A process that has gone astray in another namespace asks nobody any more. */
static int socket_within(const struct prober *p, const struct probe *probe) {
    if (setns(probe->pidfd, CLONE_NEWNET) != 0) return -1;
    int family = probe->order.family == 6 ? AF_INET6 : AF_INET;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int error = errno;
    if (setns(p->network, CLONE_NEWNET) != 0) _exit(1);
    errno = error;
    return fd;
}

static int connect_to(const struct probe *probe) {
    const struct probe_order *order = &probe->order;
    if (order->family == 6) {
        struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_port = htons(order->port)};
        memcpy(&to.sin6_addr, order->address, sizeof to.sin6_addr);
        return connect(probe->fd, (const struct sockaddr *)&to, sizeof to);
    }
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(order->port)};
    memcpy(&to.sin_addr, order->address, sizeof to.sin_addr);
    return connect(probe->fd, (const struct sockaddr *)&to, sizeof to);
}

/* HTTP/1.0 without a body; the address is a number, and so is the host. */
static bool ask(struct probe *probe) {
    const struct probe_order *order = &probe->order;
    char host[INET6_ADDRSTRLEN], request[REQUEST];
    inet_ntop(order->family == 6 ? AF_INET6 : AF_INET, order->address, host, sizeof host);
    bool six = order->family == 6;
    int size = snprintf(request, sizeof request, "GET %s HTTP/1.0\r\nHost: %s%s%s:%u\r\nUser-Agent: northstate\r\n\r\n",
                        order->path, six ? "[" : "", host, six ? "]" : "", order->port);
    if (send(probe->fd, request, (size_t)size, MSG_NOSIGNAL) == size) return true;
    note(probe, "send: %s", strerror(errno));
    return false;
}

static void connected(struct prober *p, struct probe *probe) {
    if (probe->order.kind == PROBE_TCP) {
        probe_finish(p, probe, true);
        return;
    }
    probe->state = PROBE_ASKS;
    int low = STATUS_LINE;
    setsockopt(probe->fd, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof low);
    if (!ask(probe) || watch_probe(p, probe, (uint32_t)EPOLLIN | (uint32_t)EPOLLRDHUP) != 0)
        probe_finish(p, probe, false);
}

bool dial_begin(struct prober *p, struct probe *probe) {
    probe->fd = socket_within(p, probe);
    if (probe->fd < 0) {
        note(probe, "socket in the container's network: %s", strerror(errno));
        return false;
    }
    probe->state = PROBE_DIALS;
    if (connect_to(probe) == 0) {
        connected(p, probe);
        return true;
    }
    if (errno == EINPROGRESS && watch_probe(p, probe, EPOLLOUT) == 0) return true;
    note(probe, "connect: %s", strerror(errno));
    return false;
}

/* The other side says nothing more. */
static bool has_ended(int fd) {
    struct pollfd end = {.fd = fd, .events = POLLRDHUP};
    return poll(&end, 1, 0) > 0 && end.revents & (POLLRDHUP | POLLHUP | POLLERR);
}

static void read_status(struct prober *p, struct probe *probe) {
    char line[STATUS_LINE + 1] = {0};
    ssize_t size = recv(probe->fd, line, STATUS_LINE, MSG_PEEK);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (size < 0)
        note(probe, "receive: %s", strerror(errno));
    else if (size == 0)
        note(probe, "no answer to the request");
    if (size <= 0) {
        probe_finish(p, probe, false);
        return;
    }
    /* What comes byte by byte is waited for: not before all of it is there does the socket ring (SO_RCVLOWAT). */
    if (size < STATUS_LINE && memchr(line, '\n', (size_t)size) == NULL && !has_ended(probe->fd)) return;
    int status = strncmp(line, "HTTP/1.", 7) == 0 && line[8] == ' ' ? atoi(line + 9) : 0;
    if (status == 0)
        note(probe, "the answer is no HTTP");
    else
        note(probe, "status %d", status);
    probe_finish(p, probe, status >= 200 && status < 400);
}

void dial_heard(struct prober *p, struct probe *probe) {
    if (probe->state == PROBE_ASKS) {
        read_status(p, probe);
        return;
    }
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(probe->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
    if (error == 0) {
        connected(p, probe);
        return;
    }
    note(probe, "connect: %s", strerror(error));
    probe_finish(p, probe, false);
}
