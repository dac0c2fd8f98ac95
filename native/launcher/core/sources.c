#define _GNU_SOURCE
#include "sources.h"

#include <sys/epoll.h>
#include <unistd.h>

/* source (8 bits), life (24), place (32). */
static uint64_t data_of(struct tag tag) {
    return (uint64_t)tag.source << 56 | (uint64_t)(tag.life & LIFE_MASK) << 32 | tag.place;
}

struct tag tag_of(uint64_t data) {
    return (struct tag){
        .source = (enum source)(data >> 56), .place = (uint32_t)data, .life = (uint32_t)(data >> 32) & LIFE_MASK};
}

static int control(int epoll, int operation, int fd, uint32_t events, struct tag tag) {
    struct epoll_event event = {.events = events, .data = {.u64 = data_of(tag)}};
    return epoll_ctl(epoll, operation, fd, &event);
}

int source_add(int epoll, int fd, uint32_t events, struct tag tag) {
    return control(epoll, EPOLL_CTL_ADD, fd, events, tag);
}

int source_change(int epoll, int fd, uint32_t events, struct tag tag) {
    return control(epoll, EPOLL_CTL_MOD, fd, events, tag);
}

void source_close(int epoll, int *fd) {
    if (*fd < 0) return;
    epoll_ctl(epoll, EPOLL_CTL_DEL, *fd, NULL);
    close(*fd);
    *fd = -1;
}
