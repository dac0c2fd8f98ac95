#define _GNU_SOURCE
#include "pass-on.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../core/streams.h"

struct passed {
    int *fds;
    size_t count;
    size_t room;
    bool failed;
};

static void add(struct passed *list, int fd) {
    if (fd <= STDERR_FILENO || list->failed) return;
    if (list->count == list->room) {
        size_t room = list->room * 2 + 64;
        int *larger = realloc(list->fds, room * sizeof larger[0]);
        list->failed = larger == NULL;
        if (list->failed) return;
        list->fds = larger;
        list->room = room;
    }
    list->fds[list->count++] = fd;
}

/* Every descriptor of a structure, by its layout. */
static void add_all(struct passed *list, const struct layout *layout, const void *from) {
    for (size_t i = 0; i < layout->count; i++) {
        const struct field *field = &layout->fields[i];
        if (field->kind == FIELD_DESCRIPTOR)
            add(list, *(const int *)(const void *)((const uint8_t *)from + field->offset));
    }
}

int *descriptors_of(const struct launcher *l, const struct outside *outside, size_t *count) {
    struct passed list = {0};
    add_all(&list, &launcher_layout, l);
    add_all(&list, &outside_layout, outside);
    for (int number = 1; number <= STREAMS; number++) add_all(&list, &stream_layout, stream_of(number));
    for (size_t i = 0; i < l->locks.count; i++) add_all(&list, &lock_layout, &l->locks.held[i]);
    for (uint32_t i = 0; i < l->keeps.end; i++)
        if (l->keeps.places[i].taken) add_all(&list, &keep_layout, &l->keeps.places[i]);
    for (uint32_t i = 0; i < l->relays.used; i++) add_all(&list, &relay_layout, &l->relays.places[i]);
    for (uint32_t place = 0; place < l->attempts.used; place++) {
        const struct attempt *a = attempt_at(&l->attempts, place);
        if (l->attempts.ids[place] == 0) continue;
        add_all(&list, &attempt_layout, a);
        for (size_t i = 0; i < a->go.nfds; i++) add(&list, a->go.fds[i]);
    }
    *count = list.count;
    if (!list.failed) return list.fds;
    free(list.fds);
    return NULL;
}

static int name(const char *variable, int fd) {
    char number[16];
    snprintf(number, sizeof number, "%d", fd);
    return setenv(variable, number, 1);
}

int pass_on(const int *fds, size_t count, int state, int socket) {
    if (fcntl(state, F_SETFD, 0) != 0 || name(STATE_VARIABLE, state) != 0) return -1;
    if (socket >= 0 && (fcntl(socket, F_SETFD, 0) != 0 || name(PROOF_VARIABLE, socket) != 0)) return -1;
    for (size_t i = 0; i < count; i++)
        if (fcntl(fds[i], F_SETFD, 0) != 0) return -1;
    return 0;
}

void pass_nothing(const int *fds, size_t count, int state) {
    unsetenv(STATE_VARIABLE);
    fcntl(state, F_SETFD, FD_CLOEXEC);
    for (size_t i = 0; i < count; i++) fcntl(fds[i], F_SETFD, FD_CLOEXEC);
}
