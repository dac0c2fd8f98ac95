/*
 * Frames around the limit, sent over a socket and cut out of the inbox: one of exactly the limit is there, each that is
 * longer by 1 to 8 bytes is refused by its header alone. The same for what is written.
 */
#include "../../../../native/launcher/core/frames.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int wrong(const char *what, uint32_t size) {
    fprintf(stderr, "%s of %u bytes\n", what, size);
    return 1;
}

/* Sends a header that announces `size` bytes, and `there` of them; gives what the inbox makes of it. */
static enum framed receive(struct inbox *in, const int *pair, uint32_t size, uint32_t there, struct frame *frame) {
    static uint8_t bytes[FRAME_LIMIT + 16];
    struct writer w = writer_over(bytes, sizeof bytes);
    frame_begin(&w, 1, 1);
    w = writer_over(bytes, sizeof bytes);
    put_u32(&w, size);
    enum framed found = FRAMED_NONE;
    for (size_t sent = 0, total = (size_t)there + 4; sent < total && found == FRAMED_NONE;) {
        ssize_t part = send(pair[0], bytes + sent, total - sent, MSG_DONTWAIT);
        if (part > 0) sent += (size_t)part;
        while (found == FRAMED_NONE && inbox_receive(in, pair[1]) == RECEIVED_SOME) found = inbox_frame(in, frame);
    }
    return found;
}

static int check_inbox(struct inbox *in) {
    int pair[2];
    struct frame frame;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) return wrong("a socket", 0);
    if (receive(in, pair, FRAME_LIMIT, FRAME_LIMIT, &frame) != FRAMED_ONE) return wrong("no frame", FRAME_LIMIT);
    if ((size_t)(frame.body.end - frame.body.at) != FRAME_LIMIT - 8) return wrong("another body", FRAME_LIMIT);
    inbox_drop(in, &frame);
    close(pair[0]);
    close(pair[1]);
    for (uint32_t size = FRAME_LIMIT + 1; size <= FRAME_LIMIT + 8; size++) {
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) return wrong("a socket", 0);
        if (receive(in, pair, size, 8, &frame) != FRAMED_BAD) return wrong("a frame", size);
        inbox_clear(in);
        close(pair[0]);
        close(pair[1]);
    }
    return 0;
}

static int check_outbox(struct outbox *out) {
    static const uint8_t body[FRAME_LIMIT];
    for (uint32_t size = FRAME_LIMIT; size <= FRAME_LIMIT + 8; size++) {
        struct writer w = out_begin(out, 1, 1);
        put_raw(&w, body, size - 8);
        out_end(out, &w);
        if (out->overrun != (size > FRAME_LIMIT)) return wrong("what is written", size);
        outbox_clear(out);
    }
    return 0;
}

int main(void) {
    struct inbox in = {0};
    struct outbox out = {0};
    if (inbox_open(&in) != 0 || outbox_open(&out) != 0) return wrong("no memory", 0);
    return check_inbox(&in) || check_outbox(&out);
}
