#define _GNU_SOURCE
#include "watches.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "../memory.h"
#include "sources.h"

/*
 * Of a readable or writable descriptor a watch is one shot, and rearming it asks again. With POLLPRI that would lose
 * events: a mount table is new only to the first poll(2) that asks, and epoll asks twice when a watch is added or
 * changed, once for itself (fs/proc_namespace.c). Edge-triggered, the change itself rings: so such a watch always stays
 * in the set. What rings while it is not armed is not told: whoever rearms it looks afterwards, and sees it then. So a
 * burst of changes costs one look.
 */
static uint32_t events_of(uint8_t kind) {
    if (kind == WATCH_PRIORITY) return (uint32_t)EPOLLPRI | (uint32_t)EPOLLET;
    return (kind == WATCH_WRITABLE ? (uint32_t)EPOLLOUT : (uint32_t)EPOLLIN) | (uint32_t)EPOLLONESHOT;
}

int watches_open(struct watches *all) {
    all->places = dontfork_alloc(WATCH_LIMIT * sizeof all->places[0]);
    return all->places == NULL ? -1 : 0;
}

static struct watch *find_watch(struct watches *all, uint64_t key) {
    for (size_t i = 0; i < WATCH_LIMIT; i++)
        if (all->places[i].taken && all->places[i].key == key) return &all->places[i];
    return NULL;
}

static void release(struct watches *all, struct watch *watch) {
    epoll_ctl(all->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
    close(watch->fd);
    watch->taken = false;
    watch->life++;
}

int watch_set(struct watches *all, uint64_t key, uint8_t kind, int fd, struct failure *why) {
    watch_drop(all, key);
    uint32_t place = 0;
    while (place < WATCH_LIMIT && all->places[place].taken) place++;
    if (place == WATCH_LIMIT) return fail(why, STEP_WATCH, ENOSPC, "watch %llu", (unsigned long long)key);
    struct watch *watch = &all->places[place];
    /* Whoever else reads the eventfd may be faster: then our read must not wait. */
    if (kind == WATCH_EVENTFD && fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) != 0)
        return fail(why, STEP_WATCH, errno, "watch %llu", (unsigned long long)key);
    struct tag tag = {.source = SOURCE_WATCH, .place = place, .life = watch->life};
    if (source_add(all->epoll, fd, events_of(kind), tag) != 0)
        return fail(why, STEP_WATCH, errno, "watch %llu", (unsigned long long)key);
    watch->taken = true;
    watch->armed = true;
    watch->missed = false;
    watch->kind = kind;
    watch->fd = fd;
    watch->key = key;
    return 0;
}

/* Asks for the next event. 0, or -1 and errno. */
static int arm(struct watches *all, struct watch *watch) {
    watch->armed = true;
    if (watch->kind == WATCH_PRIORITY) return 0;
    struct tag tag = {.source = SOURCE_WATCH, .place = (uint32_t)(watch - all->places), .life = watch->life};
    return source_change(all->epoll, watch->fd, events_of(watch->kind), tag);
}

int watch_rearm(struct watches *all, uint64_t key, struct failure *why) {
    struct watch *watch = find_watch(all, key);
    if (watch == NULL) return fail(why, STEP_WATCH, ENOENT, "watch %llu", (unsigned long long)key);
    if (arm(all, watch) == 0) return 0;
    return fail(why, STEP_WATCH, errno, "watch %llu", (unsigned long long)key);
}

void watch_drop(struct watches *all, uint64_t key) {
    struct watch *watch = find_watch(all, key);
    if (watch != NULL) release(all, watch);
}

void watch_drop_all(struct watches *all) {
    for (size_t i = 0; i < WATCH_LIMIT; i++)
        if (all->places[i].taken) release(all, &all->places[i]);
}

void watch_miss(struct watches *all, uint32_t place) { all->places[place].missed = true; }

bool watch_missed(struct watches *all, uint64_t *key) {
    for (size_t i = 0; i < WATCH_LIMIT; i++) {
        struct watch *watch = &all->places[i];
        if (!watch->taken || !watch->missed) continue;
        watch->missed = false;
        *key = watch->key;
        return true;
    }
    return false;
}

bool watch_rings(struct watches *all, uint32_t place, uint32_t life, uint64_t *key) {
    struct watch *watch = &all->places[place];
    if (!watch->taken || (watch->life & LIFE_MASK) != life || !watch->armed) return false;
    uint64_t count;
    *key = watch->key;
    if (watch->kind == WATCH_EVENTFD && read(watch->fd, &count, sizeof count) < 0 && errno == EAGAIN &&
        arm(all, watch) == 0)
        return false;
    watch->armed = false;
    return true;
}
