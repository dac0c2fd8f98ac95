#define _GNU_SOURCE
#include "attempts.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include "../memory.h"

_Static_assert(sizeof(struct attempt) <= ATTEMPT_SIZE, "an attempt has two pages");

int attempts_open(struct attempts *all) {
    all->places = dontfork_alloc((size_t)ATTEMPT_LIMIT * ATTEMPT_SIZE);
    all->ids = dontfork_alloc(ATTEMPT_LIMIT * sizeof all->ids[0]);
    all->changed_places = dontfork_alloc(ATTEMPT_LIMIT * sizeof all->changed_places[0]);
    all->scratch = dontfork_alloc(DRAIN_READ);
    return all->places == NULL || all->ids == NULL || all->changed_places == NULL || all->scratch == NULL ? -1 : 0;
}

struct attempt *attempt_at(const struct attempts *all, uint32_t place) {
    return (struct attempt *)(void *)(all->places + (size_t)place * ATTEMPT_SIZE);
}

struct attempt *attempt_find(const struct attempts *all, uint64_t id) {
    if (id == 0) return NULL;
    for (uint32_t place = 0; place < all->used; place++)
        if (all->ids[place] == id) return attempt_at(all, place);
    return NULL;
}

struct attempt *attempt_find_process(const struct attempts *all, pid_t pid) {
    for (uint32_t place = 0; place < all->used; place++) {
        struct attempt *a = attempt_at(all, place);
        if (all->ids[place] != 0 && !attempt_is_over(a) && a->init.pid == pid) return a;
    }
    return NULL;
}

struct attempt *attempt_add(struct attempts *all, uint64_t id) {
    uint32_t place = 0;
    while (place < all->used && all->ids[place] != 0) place++;
    if (place == ATTEMPT_LIMIT) return NULL;
    if (place == all->used) all->used++;
    all->ids[place] = id;
    struct attempt *a = attempt_at(all, place);
    a->id = id;
    a->place = place;
    a->health.notify = -1;
    return a;
}

bool attempt_is_over(const struct attempt *a) { return a->state == ATTEMPT_EXITED || a->state == ATTEMPT_FAILED; }

void attempt_remove(struct attempts *all, struct attempt *a) {
    ring_free(&a->ring);
    all->ids[a->place] = 0;
    if (a->changed) {
        uint32_t i = 0;
        while (all->changed_places[i] != a->place) i++;
        all->changed_places[i] = all->changed_places[--all->changed];
    }
    uint32_t life = a->life + 1;
    /* The second page goes back to the kernel; it is there only when the record was large. Larger pages are shared. */
    uint8_t *second = (uint8_t *)a + ATTEMPT_SIZE / 2;
    if (madvise(second, ATTEMPT_SIZE / 2, MADV_DONTNEED) != 0) memset(second, 0, ATTEMPT_SIZE / 2);
    memset(a, 0, ATTEMPT_SIZE / 2);
    a->life = life;
}

void attempt_changed(struct attempts *all, struct attempt *a) {
    if (a->changed) return;
    a->changed = true;
    all->changed_places[all->changed++] = a->place;
}

void attempts_all_changed(struct attempts *all) {
    for (uint32_t place = 0; place < all->used; place++)
        if (all->ids[place] != 0) attempt_changed(all, attempt_at(all, place));
}

void attempts_disconnect(struct attempts *all) {
    for (uint32_t place = 0; place < all->used; place++) {
        struct attempt *a = attempt_at(all, place);
        a->prepare_serial = a->go_serial = a->forget_serial = 0;
        a->output_told = false;
    }
}

void attempts_kill_all(const struct attempts *all) {
    for (uint32_t place = 0; place < all->used; place++) {
        struct attempt *a = attempt_at(all, place);
        if (all->ids[place] != 0 && !attempt_is_over(a)) init_kill(&a->init, SIGKILL);
    }
}

void attempts_terminate_all(const struct attempts *all) {
    for (uint32_t place = 0; place < all->used; place++) {
        const struct attempt *a = attempt_at(all, place);
        if (all->ids[place] == 0 || attempt_is_over(a)) continue;
        /* A frozen or stopped process hears it when it goes on; what does not end is killed. */
        init_kill(&a->init, a->state == ATTEMPT_RUNNING ? SIGTERM : SIGKILL);
        if (a->state == ATTEMPT_RUNNING) kill(-a->init.pid, SIGCONT);
    }
}
