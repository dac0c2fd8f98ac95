/*
 * A launcher's state with something in every field, written and read again: what comes back is what went, a record or a
 * part that nobody knows is stepped over, and what is cut off anywhere is refused. Says what is wrong on stderr.
 */
#define _GNU_SOURCE
#include "../../../../native/launcher/core/launcher.h"
#include "../../../../native/launcher/core/streams.h"
#include "../../../../native/launcher/reexec/descriptor.h"
#include "../../../../native/launcher/reexec/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* In place of descriptor.c: a descriptor is found when its number is even, or that of a stream. */
int descriptor_identify(int fd, struct identity *is) {
    *is = (struct identity){.device = 1, .inode = (uint64_t)fd, .mode = S_IFREG};
    return 0;
}

int descriptor_claim(int fd, const struct identity *is) {
    errno = ESTALE;
    return is->inode == (uint64_t)fd && (fd % 2 == 0 || fd < 3) ? 0 : -1;
}

static int wrong(const char *what) {
    fprintf(stderr, "%s\n", what);
    return 1;
}

static struct launcher *make(void) {
    struct launcher *l = calloc(1, sizeof *l);
    if (l == NULL || watches_open(&l->watches) != 0 || keeps_open(&l->keeps) != 0 || relays_open(&l->relays) != 0 ||
        attempts_open(&l->attempts) != 0)
        exit(wrong("no memory"));
    l->namespace_of_reconciler = -1;
    return l;
}

/* Every field of a layout, with a value that its number makes; a descriptor's is even, a flag's is 1. */
static void fill(const struct layout *layout, void *to) {
    for (size_t i = 0; i < layout->count; i++) {
        const struct field *field = &layout->fields[i];
        uint8_t *at = (uint8_t *)to + field->offset;
        int fd = 100 + 2 * field->number;
        if (field->kind == FIELD_NUMBER) memset(at, field->number, field->size);
        if (field->kind == FIELD_FLAG) *at = 1;
        if (field->kind == FIELD_DESCRIPTOR) memcpy(at, &fd, sizeof fd);
        if (field->kind == FIELD_TEXT || field->kind == FIELD_BYTES) memset(at, 'a', field->size);
        if (field->kind == FIELD_TEXT) at[field->size - 1] = '\0';
    }
}

static int compare(const struct layout *layout, const void *one, const void *other) {
    for (size_t i = 0; i < layout->count; i++) {
        const struct field *field = &layout->fields[i];
        if (field->kind == FIELD_LEFT || field->kind == FIELD_ELSEWHERE) continue;
        if (memcmp((const uint8_t *)one + field->offset, (const uint8_t *)other + field->offset, field->size) != 0)
            return wrong(field->name);
    }
    return 0;
}

static struct attempt *add(struct launcher *l, uint64_t id, uint8_t state) {
    struct attempt *a = attempt_add(&l->attempts, id);
    uint32_t place = a->place;
    fill(&attempt_layout, a);
    a->id = id;
    a->place = place;
    a->state = state;
    a->go_state = GO_NONE;
    a->after = 0;
    a->ring = ring_of(8192);
    a->record_size = 300;
    memset(a->record, 'r', a->record_size);
    l->attempts.live++;
    return a;
}

static struct launcher *example(void) {
    static uint8_t output[20000];
    struct launcher *l = make();
    fill(&launcher_layout, l);
    l->arrivals.known = strdup("a table");
    l->reconciler.directory = strdup("/a/directory");
    l->global_size = 5;
    memcpy(l->global, "state", 5);
    struct attempt *running = add(l, 7, ATTEMPT_RUNNING);
    for (size_t i = 0; i < sizeof output; i++) output[i] = (uint8_t)i;
    if (ring_append(&running->ring, 1, 5, output, sizeof output) != 0) exit(wrong("no memory"));
    struct attempt *waiting = add(l, 8, ATTEMPT_PREPARED);
    waiting->go_state = GO_WAITS;
    waiting->after = 7;
    waiting->go = (struct go_list){.bytes = (uint8_t *)strdup("list"), .size = 4, .fds = {500, -1, 502}, .nfds = 3};
    l->attempts.waiting++;
    struct failure why = {0};
    keep_set(&l->keeps, "a name", 600, &why);
    keep_set(&l->keeps, "another", 602, &why);
    l->locks.count = 1;
    fill(&lock_layout, &l->locks.held[0]);
    l->sessions.live = 1;
    fill(&session_layout, &l->sessions.places[0]);
    l->sessions.places[0].state = SESSION_RUNNING;
    relay_restore(&l->relays, 700, 2, (struct span){.data = (const uint8_t *)"half a line", .size = 11});
    return l;
}

static uint8_t *bytes;
static size_t size;

static int write_example(const struct launcher *l, const struct outside *outside) {
    struct failure why = {0};
    struct stat found;
    int fd = hand_over(l, outside, &why);
    if (fd < 0 || fstat(fd, &found) != 0) return wrong(why.subject);
    if (ftruncate(fd, 0) == 0) return wrong("the state is not sealed");
    size = (size_t)found.st_size;
    bytes = malloc(size);
    return bytes != NULL && pread(fd, bytes, size, 0) == (ssize_t)size ? close(fd) : wrong("the state cannot be read");
}

static int compare_attempts(const struct launcher *l, const struct launcher *other) {
    for (uint64_t id = 7; id <= 8; id++) {
        const struct attempt *one = attempt_find(&l->attempts, id), *read = attempt_find(&other->attempts, id);
        if (read == NULL || compare(&attempt_layout, one, read) != 0) return wrong("an attempt");
        if (read->record_size != one->record_size || memcmp(read->record, one->record, one->record_size) != 0)
            return wrong("a record");
        if (read->ring.begin != one->ring.begin || read->ring.end != one->ring.end) return wrong("a ring's ends");
    }
    uint8_t first[9000], second[9000];
    const struct ring *ring = &attempt_find(&l->attempts, 7)->ring;
    struct writer one = writer_over(first, sizeof first), two = writer_over(second, sizeof second);
    ring_put(ring, ring->begin, 8192, &one);
    ring_put(&attempt_find(&other->attempts, 7)->ring, ring->begin, 8192, &two);
    if (one.at - first != two.at - second || memcmp(first, second, (size_t)(one.at - first)) != 0)
        return wrong("a ring's bytes");
    const struct go_list *go = &attempt_find(&other->attempts, 8)->go;
    if (go->size != 4 || memcmp(go->bytes, "list", 4) != 0 || go->nfds != 3 || go->fds[0] != 500 || go->fds[1] != -1 ||
        go->fds[2] != 502)
        return wrong("the go that waits");
    return l->attempts.live == other->attempts.live && other->attempts.waiting == 1 ? 0 : wrong("counts of attempts");
}

static int compare_all(const struct launcher *l, const struct launcher *other) {
    if (compare(&launcher_layout, l, other) != 0 || compare_attempts(l, other) != 0) return 1;
    if (compare(&lock_layout, &l->locks.held[0], &other->locks.held[0]) != 0 || other->locks.count != 1) return 1;
    if (compare(&session_layout, &l->sessions.places[0], &other->sessions.places[0]) != 0) return 1;
    if (strcmp(other->reconciler.directory, "/a/directory") != 0 || strcmp(other->arrivals.known, "a table") != 0)
        return wrong("a text");
    if (other->global_size != 5 || memcmp(other->global, "state", 5) != 0) return wrong("the global record");
    if (other->keeps.end != 2 || strcmp(other->keeps.places[1].name, "another") != 0) return wrong("what is kept");
    const struct relay *relay = &other->relays.places[0];
    if (relay->fd != 700 || relay->size != 11 || memcmp(relay->bytes, "half a line", 11) != 0) return wrong("a relay");
    return 0;
}

/* Whatever is missing at the end is noticed. */
static int cut(void) {
    for (size_t less = 1; less < size; less += less < 400 ? 1 : 97) {
        struct launcher *l = make();
        struct outside outside;
        struct failure why = {0};
        if (take_over(l, &outside, bytes, size - less, &why) == 0) return wrong("a state that is cut off is taken");
        munmap(l->attempts.places, (size_t)ATTEMPT_LIMIT * ATTEMPT_SIZE);
        free(l);
    }
    return 0;
}

/* Of a newer launcher: a version, a part in each record and a record that this one does not know. */
static int newer(uint32_t needs, const char *runtime) {
    struct form form;
    int fd = memfd_create("newer", MFD_CLOEXEC);
    form_begin(&form, fd, runtime);
    struct reading reading;
    struct failure why = {0};
    struct part part;
    if (form_open(&reading, bytes, size, &why) != 0) return wrong(why.subject);
    while (form_next_record(&reading)) {
        form_record(&form, reading.kind);
        form_part(&form, 999, 3);
        form_bytes(&form, "new", 3);
        while (form_next_part(&reading, &part)) {
            form_part(&form, part.number, part.data.size);
            form_bytes(&form, part.data.data, part.data.size);
        }
    }
    form_record(&form, 999);
    form_part(&form, 1, 1);
    form_bytes(&form, "x", 1);
    if (form_end(&form) != 0) return wrong("the newer state cannot be written");
    struct stat found;
    fstat(fd, &found);
    uint8_t *all = malloc((size_t)found.st_size);
    if (pread(fd, all, (size_t)found.st_size, 0) != found.st_size) return wrong("the newer state cannot be read");
    uint32_t version = 9;
    memcpy(all + 8, &version, sizeof version);
    memcpy(all + 12, &needs, sizeof needs);
    struct launcher *l = make();
    struct outside outside;
    why = (struct failure){0};
    int result = take_over(l, &outside, all, (size_t)found.st_size, &why);
    if (result != 0) printf("%s\n", why.subject);
    return result;
}

/* What a released version has handed over. */
static int read_file(const char *path) {
    static uint8_t all[1 << 20];
    FILE *file = fopen(path, "r");
    size_t whole = file == NULL ? 0 : fread(all, 1, sizeof all, file);
    struct launcher *l = make();
    struct outside outside;
    struct failure why = {0};
    if (take_over(l, &outside, all, whole, &why) != 0) return wrong(why.subject);
    printf("%u attempts, %u kept, %zu locks\n", l->attempts.live, l->keeps.end, l->locks.count);
    return 0;
}

int main(int argc, char **argv) {
    if (streams_allocate() != 0) return wrong("no memory");
    if (argc > 1) return read_file(argv[1]);
    struct launcher *l = example();
    struct outside outside, read;
    fill(&outside_layout, &outside);
    if (write_example(l, &outside) != 0) return 1;
    struct launcher *other = make();
    struct failure why = {0};
    if (take_over(other, &read, bytes, size, &why) != 0) return wrong(why.subject);
    if (compare_all(l, other) != 0 || compare(&outside_layout, &outside, &read) != 0 || cut() != 0) return 1;
    if (newer(1, "0.9.0") != 0) return wrong("a field more is not stepped over");
    if (newer(9, "0.9.0") == 0) return wrong("a state that needs a newer reader is taken");
    return 0;
}
