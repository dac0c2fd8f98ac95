#define _GNU_SOURCE
#include "attempts.h"

#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../memory.h"
#include "launcher.h"

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
    return a;
}

bool attempt_is_over(const struct attempt *a) { return a->state == ATTEMPT_EXITED || a->state == ATTEMPT_FAILED; }

void attempt_remove(struct launcher *l, struct attempt *a) {
    struct attempts *all = &l->attempts;
    ring_free(&a->ring);
    all->ids[a->place] = 0;
    if (a->changed) {
        uint32_t i = 0;
        while (all->changed_places[i] != a->place) i++;
        all->changed_places[i] = all->changed_places[--all->changed];
    }
    uint32_t life = a->life + 1;
    /* The second page goes back to the kernel; it is there only when the record was large. */
    madvise((uint8_t *)a + ATTEMPT_SIZE / 2, ATTEMPT_SIZE / 2, MADV_DONTNEED);
    memset(a, 0, ATTEMPT_SIZE / 2);
    a->life = life;
}

void attempt_changed(struct launcher *l, struct attempt *a) {
    if (a->changed) return;
    a->changed = true;
    l->attempts.changed_places[l->attempts.changed++] = a->place;
}

void attempts_all_changed(struct launcher *l) {
    for (uint32_t place = 0; place < l->attempts.used; place++)
        if (l->attempts.ids[place] != 0) attempt_changed(l, attempt_at(&l->attempts, place));
}

void attempts_disconnect(struct attempts *all) {
    for (uint32_t place = 0; place < all->used; place++) {
        struct attempt *a = attempt_at(all, place);
        a->prepare_serial = a->go_serial = a->forget_serial = 0;
        a->output_told = false;
    }
}

void attempts_kill_all(struct launcher *l) {
    for (uint32_t place = 0; place < l->attempts.used; place++) {
        struct attempt *a = attempt_at(&l->attempts, place);
        if (l->attempts.ids[place] != 0 && !attempt_is_over(a)) init_kill(&a->init, SIGKILL);
    }
}

void send_attempt(struct launcher *l, const struct attempt *a) {
    struct writer w = out_begin(&l->reconciler.out, E_ATTEMPT, 0);
    put_u64(&w, a->id);
    put_text(&w, a->name);
    put_raw(&w, a->hash, HASH_SIZE);
    put_bytes(&w, a->record, a->record_size);
    put_u8(&w, a->state);
    put_u32(&w, (uint32_t)a->init.pid);
    put_u64(&w, a->prepared_ns);
    put_u64(&w, a->started_ns);
    put_u64(&w, a->exited_ns);
    /* Known from the init a little before it is reaped: only then has the container ended. */
    bool ended = a->state == ATTEMPT_EXITED;
    put_u8(&w, (uint8_t)(ended ? a->exit_kind : EXIT_NONE));
    put_u32(&w, ended ? a->exit_value : 0);
    put_u32(&w, a->oom_kills);
    put_u64(&w, a->ring.begin);
    put_u64(&w, a->ring.end);
    put_u16(&w, a->failure.step);
    put_u32(&w, (uint32_t)a->failure.error);
    put_text(&w, a->failure.subject);
    put_u64(&w, a->after);
    put_u8(&w, a->go_state != GO_NONE && a->state < ATTEMPT_RUNNING);
    out_end(&l->reconciler.out, &w);
}

void send_changed_attempts(struct launcher *l) {
    struct attempts *all = &l->attempts;
    struct outbox *out = &l->reconciler.out;
    uint32_t told = 0;
    while (told < all->changed && out->end - out->begin < OUTBOX_FULL) {
        struct attempt *a = attempt_at(all, all->changed_places[told++]);
        a->changed = false;
        send_attempt(l, a);
    }
    all->changed -= told;
    memmove(all->changed_places, all->changed_places + told, all->changed * sizeof all->changed_places[0]);
}
