#define _GNU_SOURCE
#include "streams.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../memory.h"

static struct stream streams[] = {{.fd = STDOUT_FILENO}, {.fd = STDERR_FILENO}};

static void open_stream(struct stream *stream) {
    struct stat found;
    char path[32];
    if (fstat(stream->fd, &found) != 0) return;
    if (S_ISSOCK(found.st_mode)) stream->manner = MANNER_SOCKET;
    if (!S_ISFIFO(found.st_mode) && !isatty(stream->fd)) return;
    snprintf(path, sizeof path, "/proc/self/fd/%d", stream->fd);
    int fd = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0) return;
    stream->fd = fd;
    stream->manner = MANNER_NONBLOCKING;
}

int streams_allocate(void) {
    for (int i = 0; i < STREAMS; i++)
        if ((streams[i].rest = dontfork_alloc(STREAM_CHUNK)) == NULL) return -1;
    return 0;
}

int streams_open(void) {
    if (streams_allocate() != 0) return -1;
    for (int i = 0; i < STREAMS; i++) open_stream(&streams[i]);
    return 0;
}

/* Gives how many bytes went, -1 and errno (EAGAIN: it would wait). */
static ssize_t transmit(const struct stream *stream, const void *bytes, size_t size) {
    struct pollfd out = {.fd = stream->fd, .events = POLLOUT};
    if (stream->manner == MANNER_SOCKET) return send(stream->fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (stream->manner == MANNER_NONBLOCKING || poll(&out, 1, 0) == 1) return write(stream->fd, bytes, size);
    errno = EAGAIN;
    return -1;
}

static bool would_wait(ssize_t sent) { return sent < 0 && (errno == EAGAIN || errno == EINTR); }

/* Whether nothing is left of what was written last. What can never be written (EPIPE, EIO, ENOSPC) is lost. */
static bool flush_rest(struct stream *stream) {
    if (stream->pending == 0) return true;
    ssize_t sent = transmit(stream, stream->rest, stream->pending);
    if (would_wait(sent)) return false;
    size_t done = sent < 0 ? stream->pending : (size_t)sent;
    memmove(stream->rest, stream->rest + done, stream->pending - done);
    stream->pending -= done;
    return stream->pending == 0;
}

bool stream_write(int number, const void *bytes, size_t size) {
    struct stream *stream = &streams[number - 1];
    if (!flush_rest(stream)) return false;
    ssize_t sent = transmit(stream, bytes, size);
    if (would_wait(sent)) return false;
    if (sent < 0 || (size_t)sent == size) return true;
    stream->pending = size - (size_t)sent;
    memcpy(stream->rest, (const uint8_t *)bytes + sent, stream->pending);
    return true;
}

/* A child of ours that says something has no memory for what is pending. */
void stream_try(int number, const void *bytes, size_t size) {
    const struct stream *stream = &streams[number - 1];
    if (stream->pending == 0) (void)!transmit(stream, bytes, size);
}

struct stream *stream_of(int number) { return &streams[number - 1]; }

int stream_descriptor(int number) { return streams[number - 1].fd; }
