/*
 * An eventfd whose count somebody else was faster to read: its watch is rearmed and not told. When it cannot be rearmed
 * it is told, so that it is not lost in silence.
 */
#include "../../../../native/launcher/core/watches.h"

#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { KEY = 7 };

static int wrong(const char *what) {
    fprintf(stderr, "%s\n", what);
    return 1;
}

int main(void) {
    struct failure why;
    struct watches all = {.epoll = epoll_create1(0)};
    uint64_t key = 0, one = 1;
    int event = eventfd(0, 0);
    if (all.epoll < 0 || event < 0 || watches_open(&all) != 0) return wrong("no descriptors");
    if (watch_set(&all, KEY, WATCH_EVENTFD, event, &why) != 0) return wrong("it cannot be set");
    if (watch_rings(&all, 0, 0, &key)) return wrong("told, though somebody else has read it");
    if (write(event, &one, sizeof one) != sizeof one || !watch_rings(&all, 0, 0, &key) || key != KEY)
        return wrong("not told, though it has rung");
    if (watch_rings(&all, 0, 0, &key)) return wrong("told twice");
    if (watch_rearm(&all, KEY, &why) != 0) return wrong("it cannot be rearmed");
    close(all.epoll); /* so that rearming fails */
    if (!watch_rings(&all, 0, 0, &key)) return wrong("lost in silence");
    if (watch_rearm(&all, KEY, &why) == 0) return wrong("whoever rearms it does not hear why");
    return 0;
}
