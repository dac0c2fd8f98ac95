#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "launcher.h"

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

static struct watch *find_watch(struct launcher *l, uint64_t key) {
    for (size_t i = 0; i < WATCH_LIMIT; i++)
        if (l->watches[i].taken && l->watches[i].key == key) return &l->watches[i];
    return NULL;
}

static void release(struct launcher *l, struct watch *watch) {
    epoll_ctl(l->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
    close(watch->fd);
    watch->taken = false;
    watch->life++;
}

int watch_set(struct launcher *l, uint64_t key, uint8_t kind, int fd, struct failure *why) {
    watch_drop(l, key);
    uint32_t place = 0;
    while (place < WATCH_LIMIT && l->watches[place].taken) place++;
    if (place == WATCH_LIMIT) return fail(why, STEP_WATCH, ENOSPC, "watch %llu", (unsigned long long)key);
    struct watch *watch = &l->watches[place];
    /* Whoever else reads the eventfd may be faster: then our read must not wait. */
    if (kind == WATCH_EVENTFD && fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) != 0)
        return fail(why, STEP_WATCH, errno, "watch %llu", (unsigned long long)key);
    if (loop_add(l->epoll, fd, events_of(kind), SOURCE_WATCH, place, watch->life) != 0)
        return fail(why, STEP_WATCH, errno, "watch %llu", (unsigned long long)key);
    watch->taken = true;
    watch->armed = true;
    watch->kind = kind;
    watch->fd = fd;
    watch->key = key;
    return 0;
}

int watch_rearm(struct launcher *l, uint64_t key, struct failure *why) {
    struct watch *watch = find_watch(l, key);
    if (watch == NULL) return fail(why, STEP_WATCH, ENOENT, "watch %llu", (unsigned long long)key);
    watch->armed = true;
    if (watch->kind == WATCH_PRIORITY) return 0;
    uint32_t place = (uint32_t)(watch - l->watches);
    if (loop_change(l->epoll, watch->fd, events_of(watch->kind), SOURCE_WATCH, place, watch->life) == 0) return 0;
    return fail(why, STEP_WATCH, errno, "watch %llu", (unsigned long long)key);
}

void watch_drop(struct launcher *l, uint64_t key) {
    struct watch *watch = find_watch(l, key);
    if (watch != NULL) release(l, watch);
}

void watch_drop_all(struct launcher *l) {
    for (size_t i = 0; i < WATCH_LIMIT; i++)
        if (l->watches[i].taken) release(l, &l->watches[i]);
}

void handle_watch(struct launcher *l, uint32_t place, uint32_t life) {
    struct watch *watch = &l->watches[place];
    if (!watch->taken || (watch->life & LIFE_MASK) != life) return;
    uint64_t count;
    if (!watch->armed) return;
    if (watch->kind == WATCH_EVENTFD && read(watch->fd, &count, sizeof count) < 0 && errno == EAGAIN) {
        struct failure why;
        watch_rearm(l, watch->key, &why); /* somebody else has read it */
        return;
    }
    watch->armed = false;
    send_event(l, E_WATCH, watch->key, sizeof watch->key);
}

int deadline_set(struct launcher *l, uint64_t boottime_ns) {
    struct itimerspec when = {
        .it_value = {.tv_sec = (time_t)(boottime_ns / 1000000000u), .tv_nsec = (long)(boottime_ns % 1000000000u)}};
    return timerfd_settime(l->deadline, TFD_TIMER_ABSTIME, &when, NULL);
}

void handle_deadline(struct launcher *l) {
    uint64_t count;
    if (read(l->deadline, &count, sizeof count) == sizeof count) send_event(l, E_DEADLINE, 0, 0);
}
