#define _GNU_SOURCE
#include "keeps.h"

#include <errno.h>
#include <stdalign.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../ancillary.h"
#include "../memory.h"

int keeps_open(struct keeps *all) {
    all->places = dontfork_alloc(KEEP_LIMIT * sizeof all->places[0]);
    return all->places == NULL ? -1 : 0;
}

static struct keep *find_keep(struct keeps *all, const char *name) {
    for (size_t i = 0; i < all->end; i++)
        if (all->places[i].taken && strcmp(all->places[i].name, name) == 0) return &all->places[i];
    return NULL;
}

int keep_set(struct keeps *all, const char *name, int fd, struct failure *why) {
    keep_drop(all, name);
    uint32_t place = 0;
    while (place < all->end && all->places[place].taken) place++;
    if (place == KEEP_LIMIT) return fail(why, STEP_KEEP, ENOSPC, "%s", name);
    struct keep *keep = &all->places[place];
    memcpy(keep->name, name, strlen(name) + 1);
    keep->fd = fd;
    keep->taken = true;
    if (place == all->end) all->end++;
    return 0;
}

void keep_drop(struct keeps *all, const char *name) {
    struct keep *keep = find_keep(all, name);
    if (keep == NULL) return;
    close(keep->fd);
    keep->taken = false;
    while (all->end > 0 && !all->places[all->end - 1].taken) all->end--;
}

static int send_descriptor(int to, int fd) {
    struct iovec part = {.iov_base = (char[]){'c'}, .iov_len = 1};
    alignas(struct cmsghdr) char space[CMSG_SPACE(sizeof(int))] = {0};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    attach(&message, space, SCM_RIGHTS, &fd, sizeof fd);
    return sendmsg(to, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -1 : 0;
}

int keep_accept(struct keeps *all, const char *listener, const char *name, int to, struct failure *why) {
    const struct keep *from = find_keep(all, listener);
    if (from == NULL) return fail(why, STEP_KEEP, ENOENT, "%s", listener);
    int fd = accept4(from->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) return fail(why, STEP_KEEP, errno == EWOULDBLOCK ? EAGAIN : errno, "%s", listener);
    /* Where it cannot be sent, whoever asked has gone: the next one finds it among what is kept. */
    int sent = send_descriptor(to, fd);
    int error = errno;
    if (name[0] == '\0' || keep_set(all, name, fd, why) != 0) close(fd);
    return sent == 0 ? 0 : fail(why, STEP_KEEP, error, "%s", listener);
}
