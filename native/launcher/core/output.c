#define _GNU_SOURCE
#include "output.h"

#include <errno.h>
#include <unistd.h>

#include "clock.h"
#include "say.h"
#include "sources.h"
#include "telling.h"

void output_close(struct launcher *l, struct attempt *a, int stream) { source_close(l->bulk, &a->init.output[stream]); }

void handle_output(struct launcher *l, struct attempt *a, int stream, uint32_t limit) {
    uint8_t *scratch = l->attempts.scratch;
    uint64_t before = a->ring.end;
    uint64_t now = boottime_now();
    for (uint32_t left = limit; left > 0 && a->init.output[stream] >= 0;) {
        ssize_t size = read(a->init.output[stream], scratch, left < DRAIN_READ ? left : DRAIN_READ);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0 && errno == EAGAIN) break;
        if (size <= 0) {
            output_close(l, a, stream);
            break;
        }
        if (ring_append(&a->ring, (uint8_t)(stream + 1), now, scratch, (uint32_t)size) != 0) {
            say("attempt %llu: no memory for its output", (unsigned long long)a->id);
            output_close(l, a, stream);
        }
        left -= (uint32_t)size;
    }
    if (a->ring.end != before) send_output(l, a);
}
