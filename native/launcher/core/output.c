#define _GNU_SOURCE
#include <errno.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "launcher.h"

static uint64_t realtime_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void output_close(struct launcher *l, struct attempt *a, int stream) {
    int *fd = &a->init.output[stream];
    if (*fd < 0) return;
    epoll_ctl(l->bulk, EPOLL_CTL_DEL, *fd, NULL);
    close(*fd);
    *fd = -1;
}

static void tell(struct launcher *l, struct attempt *a) {
    if (a->output_told || !is_connected(l)) return;
    struct writer w = out_begin(&l->reconciler.out, E_OUTPUT, 0);
    put_u64(&w, a->id);
    put_u64(&w, a->ring.begin);
    put_u64(&w, a->ring.end);
    out_end(&l->reconciler.out, &w);
    a->output_told = true;
}

void handle_output(struct launcher *l, struct attempt *a, int stream, uint32_t limit) {
    uint8_t *scratch = l->attempts.scratch;
    uint64_t before = a->ring.end;
    uint64_t now = realtime_now();
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
    if (a->ring.end != before) tell(l, a);
}
