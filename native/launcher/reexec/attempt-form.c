#define _GNU_SOURCE
#include "attempt-form.h"

#include <errno.h>
#include <string.h>

#include "../memory.h"
#include "descriptor.h"

enum { RING_HEAD = 16 };

static void write_ring(struct form *form, const struct ring *ring) {
    uint8_t head[RING_HEAD];
    struct writer w = writer_over(head, sizeof head);
    put_u64(&w, ring->begin);
    put_u64(&w, ring->end);
    uint32_t size = (uint32_t)(ring->end - ring->begin);
    form_part(form, PART_RING, sizeof head + size);
    form_bytes(form, head, sizeof head);
    if (size == 0) return;
    uint32_t at = (uint32_t)(ring->begin % ring->size), first = size < ring->size - at ? size : ring->size - at;
    form_bytes(form, ring->data + at, first);
    form_bytes(form, ring->data, size - first);
}

static void write_go(struct form *form, const struct go_list *go) {
    static const struct field fd = {.number = PART_GO_FD, .kind = FIELD_DESCRIPTOR, .size = sizeof(int)};
    form_part(form, PART_GO, go->size);
    form_bytes(form, go->bytes, go->size);
    for (size_t i = 0; i < go->nfds; i++) {
        if (go->fds[i] < 0) form_part(form, PART_GO_FD_NONE, 0);
        form_field(form, &fd, &go->fds[i]);
    }
}

void write_attempt(struct form *form, const struct attempt *a) {
    form_structure(form, &attempt_layout, a);
    form_part(form, PART_ATTEMPT_RECORD, a->record_size);
    form_bytes(form, a->record, a->record_size);
    write_ring(form, &a->ring);
    if (a->go.bytes != NULL) write_go(form, &a->go);
}

static int refuse(const struct reading *reading, const struct attempt *a, const char *what) {
    return fail(reading->why, STEP_REEXEC, EBADMSG, "attempt %llu: %s", (unsigned long long)a->id, what);
}

/* Whether these bytes are whole records, as ring.c writes them. */
static bool are_records(struct cursor c) {
    while (c.at < c.end && !c.failed) {
        take_raw(&c, RECORD_HEADER - sizeof(uint32_t));
        take_bytes(&c);
    }
    return !c.failed;
}

static int take_ring(const struct reading *reading, struct attempt *a, struct span data) {
    struct cursor c = cursor_over(data.data, data.size);
    struct ring *ring = &a->ring;
    ring->begin = take_u64(&c);
    ring->end = take_u64(&c);
    size_t size = (size_t)(c.end - c.at);
    if (c.failed || ring->end < ring->begin || ring->end - ring->begin != size || size > ring->size || !are_records(c))
        return refuse(reading, a, "its output is not whole");
    if (size == 0) return 0;
    if ((ring->data = dontfork_alloc(ring->size)) == NULL)
        return fail(reading->why, STEP_MEMORY, errno, "the output of attempt %llu", (unsigned long long)a->id);
    uint32_t at = (uint32_t)(ring->begin % ring->size);
    size_t first = size < ring->size - at ? size : ring->size - at;
    memcpy(ring->data + at, c.at, first);
    memcpy(ring->data, c.at + first, size - first);
    return 0;
}

static int take_go_fd(const struct reading *reading, struct attempt *a, const struct part *part) {
    static const struct field fd = {
        .number = PART_GO_FD, .kind = FIELD_DESCRIPTOR, .size = sizeof(int), .name = "attempt.go"};
    static const struct layout only = {RECORD_ATTEMPT, &fd, 1};
    struct go_list *go = &a->go;
    if (go->nfds == FRAME_FDS) return refuse(reading, a, "too many descriptors");
    go->fds[go->nfds] = -1;
    if (part->number == PART_GO_FD && form_take(reading, &only, part, &go->fds[go->nfds]) != 0) return -1;
    go->nfds++;
    return 0;
}

static int take_go(const struct reading *reading, struct attempt *a, struct span list) {
    if (list.size == 0 || list.size > FRAME_LIMIT) return refuse(reading, a, "no go");
    if (a->go.bytes != NULL) dontfork_free(a->go.bytes, a->go.size);
    if ((a->go.bytes = dontfork_alloc(list.size)) == NULL)
        return fail(reading->why, STEP_MEMORY, errno, "the go of attempt %llu", (unsigned long long)a->id);
    memcpy(a->go.bytes, list.data, list.size);
    a->go.size = list.size;
    return 0;
}

struct found {
    struct span ring;
    struct span go;
};

static int take_part(const struct reading *reading, struct attempt *a, const struct part *part, struct found *found) {
    switch (part->number) {
    case PART_ATTEMPT_RECORD:
        if (part->data.size > RECORD_LIMIT) return refuse(reading, a, "too large a record");
        if (part->data.size > 0) memcpy(a->record, part->data.data, part->data.size);
        a->record_size = part->data.size;
        return 0;
    case PART_RING:
        found->ring = part->data;
        return 0;
    case PART_GO:
        found->go = part->data;
        return 0;
    case PART_GO_FD:
    case PART_GO_FD_NONE:
        return take_go_fd(reading, a, part);
    default:
        return 0;
    }
}

/* What the launcher's functions take for granted of an attempt. */
static int check(const struct reading *reading, const struct attempts *all, const struct attempt *a) {
    if (a->id == 0 || a->place >= ATTEMPT_LIMIT || all->ids[a->place] != 0 || attempt_find(all, a->id) != NULL)
        return refuse(reading, a, "its place is another's");
    if (a->state < ATTEMPT_PREPARING || a->state > ATTEMPT_FAILED || a->go_state > GO_SENT)
        return refuse(reading, a, "there is no such state");
    if (!attempt_is_over(a) && (a->init.pid <= 0 || a->init.pidfd < 0)) return refuse(reading, a, "it has no init");
    if (a->ring.size > RING_LIMIT || a->ring.size % 4096 != 0) return refuse(reading, a, "another size of its output");
    return 0;
}

static void add(struct attempts *all, const struct attempt *from) {
    memcpy(attempt_at(all, from->place), from, sizeof *from);
    all->ids[from->place] = from->id;
    if (from->place >= all->used) all->used = from->place + 1;
    if (!attempt_is_over(from)) all->live++;
    if (from->after != 0) all->waiting++;
}

static int take_into(struct reading *reading, struct attempts *all, struct attempt *a) {
    struct found found = {0};
    struct part part;
    a->init = (struct init){.pidfd = -1, .control = -1, .output = {-1, -1}, .oom = -1};
    a->health.notify = -1;
    while (form_next_part(reading, &part)) {
        int taken = form_take(reading, &attempt_layout, &part, a);
        if (taken < 0 || (taken == 1 && take_part(reading, a, &part, &found) != 0)) return -1;
    }
    if (reading->why->step != 0 || check(reading, all, a) != 0) return -1;
    if (found.ring.data != NULL && take_ring(reading, a, found.ring) != 0) return -1;
    if (found.go.data != NULL && take_go(reading, a, found.go) != 0) return -1;
    if ((a->after != 0 || a->go_state == GO_WAITS) && a->go.bytes == NULL) return refuse(reading, a, "it has no go");
    add(all, a);
    return 0;
}

int take_attempt(struct reading *reading, struct attempts *all) {
    /* As large as it is, and no init's to inherit. */
    struct attempt *a = dontfork_alloc(ATTEMPT_SIZE);
    if (a == NULL) return fail(reading->why, STEP_MEMORY, errno, "an attempt");
    int taken = take_into(reading, all, a);
    dontfork_free(a, ATTEMPT_SIZE);
    return taken;
}
