#define _GNU_SOURCE
#include "relays.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "../memory.h"
#include "sources.h"
#include "streams.h"

static struct tag tag_of_relay(const struct relays *all, const struct relay *relay) {
    return (struct tag){.source = SOURCE_RELAY, .place = (uint32_t)(relay - all->places), .life = relay->life};
}

int relays_open(struct relays *all) {
    all->places = dontfork_alloc(RELAY_LIMIT * sizeof all->places[0]);
    return all->places == NULL ? -1 : 0;
}

int relay_add(struct relays *all, int fd, int stream) {
    uint32_t place = 0;
    while (place < all->used && all->places[place].fd >= 0) place++;
    if (place == RELAY_LIMIT) {
        errno = ENOSPC;
        return -1;
    }
    struct relay *relay = &all->places[place];
    if (source_add(all->bulk, fd, EPOLLIN, tag_of_relay(all, relay)) != 0) return -1;
    relay->fd = fd;
    relay->stream = stream;
    if (place == all->used) all->used++;
    return 0;
}

int relay_restore(struct relays *all, int fd, int stream, struct span bytes) {
    if (all->used == RELAY_LIMIT) {
        errno = ENOSPC;
        return -1;
    }
    struct relay *relay = &all->places[all->used];
    if (bytes.size > 0 && (relay->bytes = dontfork_alloc(STREAM_CHUNK)) == NULL) return -1;
    if (bytes.size > 0) memcpy(relay->bytes, bytes.data, bytes.size);
    relay->fd = fd;
    relay->stream = stream;
    relay->size = bytes.size;
    all->used++;
    return 0;
}

int relays_watch(struct relays *all) {
    for (uint32_t place = 0; place < all->used; place++) {
        const struct relay *relay = &all->places[place];
        if (source_add(all->bulk, relay->fd, EPOLLIN, tag_of_relay(all, relay)) != 0) return -1;
    }
    return 0;
}

static void end(struct relays *all, struct relay *relay) {
    source_close(all->bulk, &relay->fd);
    if (relay->stalled) all->stalled--;
    if (relay->bytes != NULL) dontfork_free(relay->bytes, STREAM_CHUNK);
    *relay = (struct relay){.fd = -1, .life = relay->life + 1};
}

/* Waits for the stream instead of the pipe: one that nobody reads must not keep us busy. */
static void stall(struct relays *all, struct relay *relay) {
    struct tag tag = {.source = SOURCE_STREAM, .place = (uint32_t)relay->stream};
    uint32_t events = (uint32_t)EPOLLOUT | (uint32_t)EPOLLONESHOT;
    int fd = stream_descriptor(relay->stream);
    if (source_change(all->epoll, fd, events, tag) != 0 && source_add(all->epoll, fd, events, tag) != 0) {
        relay->size = 0; /* nobody would tell when it takes something: what is there is lost */
        return;
    }
    epoll_ctl(all->bulk, EPOLL_CTL_DEL, relay->fd, NULL); /* gone already when it is stalled anew */
    relay->stalled = true;
    all->stalled++;
}

/* Bytes up to the last end of line; all of them when the room is full, or (`ended`) nothing follows. */
static uint32_t whole_lines(const struct relay *relay, bool ended) {
    const uint8_t *last = relay->size == 0 ? NULL : memrchr(relay->bytes, '\n', relay->size);
    if (last != NULL) return (uint32_t)(last - relay->bytes) + 1;
    return ended || relay->size == STREAM_CHUNK ? relay->size : 0;
}

/* False when the stream takes nothing. */
static bool write_lines(struct relay *relay, bool ended) {
    for (uint32_t size; (size = whole_lines(relay, ended)) > 0;) {
        if (!stream_write(relay->stream, relay->bytes, size)) return false;
        relay->size -= size;
        memmove(relay->bytes, relay->bytes + size, relay->size);
    }
    return true;
}

/* A last line without an end gets one, so that it does not run into another's. */
static void end_line(struct relay *relay) {
    if (relay->size > 0 && relay->size < STREAM_CHUNK && relay->bytes[relay->size - 1] != '\n')
        relay->bytes[relay->size++] = '\n';
}

/* Reads once and writes on what is whole. Gives how many bytes were read, 0 when there is nothing more to do now. */
static uint32_t relay_some(struct relays *all, struct relay *relay, uint32_t limit) {
    uint32_t room = STREAM_CHUNK - relay->size;
    ssize_t size = read(relay->fd, relay->bytes + relay->size, room < limit ? room : limit);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
    bool ended = size <= 0;
    if (ended) end_line(relay);
    if (!ended) relay->size += (uint32_t)size;
    if (!write_lines(relay, ended))
        stall(all, relay);
    else if (ended)
        end(all, relay);
    else
        return (uint32_t)size;
    return 0;
}

void handle_relay(struct relays *all, uint32_t place, uint32_t life, uint32_t limit) {
    struct relay *relay = &all->places[place];
    if (relay->fd < 0 || relay->stalled || (relay->life & LIFE_MASK) != life) return;
    if (relay->bytes == NULL && (relay->bytes = dontfork_alloc(STREAM_CHUNK)) == NULL) {
        end(all, relay); /* no memory: the application hears it by EPIPE */
        return;
    }
    for (uint32_t left = limit, done; left > 0 && (done = relay_some(all, relay, left)) > 0;) left -= done;
}

/* Reads the pipe again once what was left of it is written. */
static void resume(struct relays *all, struct relay *relay) {
    relay->stalled = false;
    all->stalled--;
    if (!write_lines(relay, false))
        stall(all, relay);
    else if (source_add(all->bulk, relay->fd, EPOLLIN, tag_of_relay(all, relay)) != 0)
        end(all, relay);
}

void handle_stream(struct relays *all, int stream) {
    for (uint32_t place = 0; all->stalled > 0 && place < all->used; place++) {
        struct relay *relay = &all->places[place];
        if (relay->fd >= 0 && relay->stalled && relay->stream == stream) resume(all, relay);
    }
}

void relays_finish(struct relays *all) {
    enum { LAST = 1 << 20 /* more than a pipe holds */ };
    for (uint32_t place = 0; place < all->used; place++)
        handle_relay(all, place, all->places[place].life & LIFE_MASK, LAST);
}
