/* The launcher's own stdout and stderr: its log, and what containers write that inherit them. Nothing here waits. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { STREAMS = 2 };

enum { STREAM_CHUNK = 4096 }; /* bytes that a pipe takes whole or not at all (pipe(7), PIPE_BUF) */

enum manner {
    MANNER_PLAIN,       /* a file never makes a write wait for a reader; what could not be opened anew is asked first */
    MANNER_NONBLOCKING, /* opened anew */
    MANNER_SOCKET,      /* send(2) can be told not to wait */
    MANNER_LAST = MANNER_SOCKET,
};

struct stream {
    int fd;
    enum manner manner;
    size_t pending; /* bytes that belong to what was written last */
    uint8_t *rest;  /* them, in memory that no init inherits */
};

/* Stream 1 or 2, to be handed over. */
struct stream *stream_of(int stream);

/* Only their memory: for streams that were handed over. -1 and errno when there is none. */
int streams_allocate(void);

/*
 * Opens the streams anew where they could make a write wait (a pipe, a terminal), so that the flags of those that we
 * were started with stay as they are. To be called once, while /proc can be seen. -1 and errno when there is no memory.
 */
int streams_open(void);

/*
 * Writes to stream 1 or 2: all of it (at most STREAM_CHUNK), if need be later. False when the stream takes nothing now:
 * then stream_descriptor is to be waited for (EPOLLOUT).
 */
bool stream_write(int stream, const void *bytes, size_t size);

/* The same without a promise: what the stream does not take now is lost. */
void stream_try(int stream, const void *bytes, size_t size);

int stream_descriptor(int stream);
