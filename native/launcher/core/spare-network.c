#define _GNU_SOURCE
#include "spare-network.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "say.h"
#include "sources.h"
#include "timers.h"

enum { KEPT = 400 /* ms */ };
static const uint64_t REFUSED = 60ULL * 1000000000; /* ns */

static struct {
    int maker; /* our end of the socket of who makes one, -1: nobody does */
    int made;  /* -1: none */
    int timer; /* of its end, -1: none is there */
    uint64_t refused_until;
} spare = {.maker = -1, .made = -1, .timer = -1};

static void drop(const struct launcher *l) {
    if (spare.made >= 0) close(spare.made);
    spare.made = -1;
    source_close(l->epoll, &spare.timer);
}

int spare_network_take(const struct launcher *l) {
    int made = spare.made;
    spare.made = -1;
    drop(l);
    return made;
}

static bool is_starting(const struct attempts *all) {
    for (uint32_t place = 0; place < all->used; place++)
        if (all->ids[place] != 0 && attempt_at(all, place)->state == ATTEMPT_PREPARING) return true;
    return false;
}

/* What the host does not allow now is not asked for at every start. */
static void refuse(int error) {
    say("no network namespace can be made in advance, each start makes its own: %s", strerror(error));
    spare.refused_until = boottime_now() + REFUSED;
}

void spare_network_want(const struct launcher *l) {
    if (spare.maker >= 0 || spare.made >= 0 || is_starting(&l->attempts)) return;
    if (boottime_now() < spare.refused_until) return;
    spare.maker = launch_network();
    if (spare.maker >= 0 && source_add(l->epoll, spare.maker, EPOLLIN, (struct tag){.source = SOURCE_SPARE}) == 0)
        return;
    refuse(errno);
    if (spare.maker >= 0) close(spare.maker);
    spare.maker = -1;
}

/* One whose end would not come is not kept. */
static void keep(const struct launcher *l, int network) {
    spare.made = network;
    spare.timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (spare.timer < 0 || source_add(l->epoll, spare.timer, EPOLLIN, (struct tag){.source = SOURCE_SPARE}) != 0) {
        drop(l);
        return;
    }
    timer_set_after(spare.timer, KEPT);
}

void handle_spare_network(const struct launcher *l) {
    if (spare.timer >= 0 && timer_rang(spare.timer)) drop(l);
    if (spare.maker < 0) return;
    int network = network_receive(spare.maker);
    int error = errno;
    if (network < 0 && (error == EAGAIN || error == EINTR)) return;
    source_close(l->epoll, &spare.maker);
    if (network >= 0)
        keep(l, network);
    else
        refuse(error);
}
