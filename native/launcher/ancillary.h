/* What comes with a message over a unix socket: descriptors, or who sends it (cmsg(3), unix(7)). */
#pragma once

#include <stddef.h>
#include <sys/socket.h>

/* Gives a message one control header, SCM_RIGHTS or SCM_CREDENTIALS, in `space`: CMSG_SPACE(size) bytes, zero. */
void attach(struct msghdr *message, void *space, int type, const void *data, size_t size);

/* The descriptors of a message's first control header, as many as its space has had room for: 0 when it has none. */
size_t attached_fds(struct msghdr *message, int *fds);
