/* The socket to the reconciler: frames in with their descriptors, frames out through a queue that never blocks. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../wire.h"

enum {
    INBOX_SIZE = FRAME_LIMIT + 4,
    INBOX_FDS = 2 * FRAME_FDS,
    OUTBOX_SIZE = 8 << 20,
    /* Above it no request is taken up, so that what is queued stays bounded: the rest are single answers and events. */
    OUTBOX_FULL = FRAME_LIMIT,
};

/*
 * What was received and not yet handled. Descriptors come with the first byte of their frame, so they queue in order.
 */
struct inbox {
    uint8_t *data;
    size_t begin;
    size_t end;
    int fds[INBOX_FDS];
    size_t nfds;
};

struct outbox {
    uint8_t *data;
    size_t begin;
    size_t end;
    bool overrun; /* an event did not fit: the reconciler has lost track and must go */
};

/* A complete frame in the inbox. */
struct frame {
    uint16_t type;
    uint32_t serial;
    struct cursor body;
    int *fds; /* a handler that keeps one sets it to -1 */
    size_t nfds;
    size_t size; /* with its header */
};

enum received { RECEIVED_SOME, RECEIVED_NOTHING, RECEIVED_END, RECEIVED_BAD };
enum framed { FRAMED_ONE, FRAMED_NONE, FRAMED_BAD };

/* Takes the memory of both (once). -1 and errno when there is none. */
int inbox_open(struct inbox *in);
int outbox_open(struct outbox *out);
/* Forgets everything, and closes descriptors that no frame claimed. */
void inbox_clear(struct inbox *in);
void outbox_clear(struct outbox *out);

/* One recvmsg, without waiting. RECEIVED_BAD: more descriptors than frames can claim. */
enum received inbox_receive(struct inbox *in, int socket);
/* The first frame, if it is complete. FRAMED_BAD: its header is out of bounds. */
enum framed inbox_frame(struct inbox *in, struct frame *frame);
/* Steps over a frame that was handled and closes those of its descriptors that nobody kept. */
void inbox_drop(struct inbox *in, const struct frame *frame);

/* A writer over the free room, its frame begun. */
struct writer out_begin(struct outbox *out, uint16_t type, uint32_t serial);
/* Queues what was written. */
void out_end(struct outbox *out, struct writer *w);
/* Bytes that are queued. */
size_t out_queued(const struct outbox *out);
/* Sends what the socket takes. False when the other side is gone. */
bool out_flush(struct outbox *out, int socket);
