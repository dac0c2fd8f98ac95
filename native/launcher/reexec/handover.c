#define _GNU_SOURCE
#include "handover.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../core/streams.h"
#include "attempt-form.h"

static void write_launcher(struct form *form, const struct launcher *l) {
    const char *directory = l->reconciler.directory, *mounts = l->arrivals.known;
    form_structure(form, &launcher_layout, l);
    form_part(form, PART_GLOBAL, l->global_size);
    form_bytes(form, l->global, l->global_size);
    if (directory != NULL) form_part(form, PART_DIRECTORY, strlen(directory));
    if (directory != NULL) form_bytes(form, directory, strlen(directory));
    if (mounts != NULL) form_part(form, PART_MOUNTS, strlen(mounts));
    if (mounts != NULL) form_bytes(form, mounts, strlen(mounts));
}

static void write_streams(struct form *form) {
    for (int number = 1; number <= STREAMS; number++) {
        const struct stream *stream = stream_of(number);
        form_structure(form, &stream_layout, stream);
        form_part(form, PART_REST, stream->pending);
        form_bytes(form, stream->rest, stream->pending);
    }
}

static void write_relays(struct form *form, const struct relays *all) {
    for (uint32_t place = 0; place < all->used; place++) {
        const struct relay *relay = &all->places[place];
        if (relay->fd < 0) continue;
        form_structure(form, &relay_layout, relay);
        form_part(form, PART_LINES, relay->size);
        form_bytes(form, relay->bytes, relay->size);
    }
}

static void write_tables(struct form *form, const struct launcher *l) {
    for (size_t i = 0; i < l->locks.count; i++) form_structure(form, &lock_layout, &l->locks.held[i]);
    for (uint32_t i = 0; i < l->keeps.end; i++)
        if (l->keeps.places[i].taken) form_structure(form, &keep_layout, &l->keeps.places[i]);
    for (uint32_t i = 0; i < SESSION_LIMIT; i++)
        if (l->sessions.places[i].state != SESSION_FREE) form_structure(form, &session_layout, &l->sessions.places[i]);
    for (uint32_t place = 0; place < l->attempts.used; place++)
        if (l->attempts.ids[place] != 0) write_attempt(form, attempt_at(&l->attempts, place));
}

int hand_over(const struct launcher *l, const struct outside *outside, struct failure *why) {
    int fd = memfd_create("northstate-state", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) return fail(why, STEP_REEXEC, errno, "a file in memory for the state");
    struct form form;
    form_begin(&form, fd, RUNTIME_VERSION);
    write_launcher(&form, l);
    form_structure(&form, &outside_layout, outside);
    write_streams(&form);
    write_relays(&form, &l->relays);
    write_tables(&form, l);
    if (form_end(&form) == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0)
        return fd;
    int error = errno;
    close(fd);
    return fail(why, STEP_REEXEC, error, "the state cannot be written down");
}

/* Everything that is read of one form. */
struct taking {
    struct launcher *l;
    struct outside *outside;
    struct reading reading;
    int streams;
};

static int refuse(const struct taking *t, const char *what) {
    return fail(t->reading.why, STEP_REEXEC, EBADMSG, "%s", what);
}

/* Every part of this record into the structure; `other` is given those that no field has. */
static int take_structure(struct taking *t, const struct layout *layout, void *to,
                          int (*other)(struct taking *t, const struct part *part, void *to)) {
    struct part part;
    while (form_next_part(&t->reading, &part)) {
        int taken = form_take(&t->reading, layout, &part, to);
        if (taken < 0 || (taken == 1 && other != NULL && other(t, &part, to) != 0)) return -1;
    }
    return t->reading.why->step == 0 ? 0 : -1;
}

static int take_copy(struct taking *t, const struct part *part, const char **to) {
    if (memchr(part->data.data, 0, part->data.size) != NULL) return refuse(t, "a NUL in a text");
    char *copy = strndup((const char *)part->data.data, part->data.size);
    if (copy == NULL) return fail(t->reading.why, STEP_MEMORY, errno, "the state");
    free((void *)(uintptr_t)*to);
    *to = copy;
    return 0;
}

static int take_launcher_part(struct taking *t, const struct part *part, void *to) {
    struct launcher *l = to;
    if (part->number == PART_GLOBAL) {
        if (part->data.size > RECORD_LIMIT) return refuse(t, "too large a global record");
        if (part->data.size > 0) memcpy(l->global, part->data.data, part->data.size);
        l->global_size = part->data.size;
    }
    if (part->number == PART_DIRECTORY) return take_copy(t, part, &l->reconciler.directory);
    if (part->number != PART_MOUNTS) return 0;
    const char *known = l->arrivals.known;
    int taken = take_copy(t, part, &known);
    l->arrivals.known = (char *)(uintptr_t)known;
    return taken;
}

static int take_launcher(struct taking *t) {
    struct launcher *l = t->l;
    if (take_structure(t, &launcher_layout, l, take_launcher_part) != 0) return -1;
    bool follows = l->arrivals.table >= 0;
    if (follows && (l->arrivals.host < 0 || l->arrivals.known == NULL)) return refuse(t, "half of the host's mounts");
    return 0;
}

static int take_rest(struct taking *t, const struct part *part, void *to) {
    struct stream *stream = to;
    if (part->number != PART_REST) return 0;
    if (part->data.size > STREAM_CHUNK) return refuse(t, "too much of a stream");
    if (part->data.size > 0) memcpy(stream->rest, part->data.data, part->data.size);
    stream->pending = part->data.size;
    return 0;
}

static int take_stream(struct taking *t) {
    if (++t->streams > STREAMS) return refuse(t, "too many streams");
    struct stream *stream = stream_of(t->streams);
    stream->fd = -1;
    if (take_structure(t, &stream_layout, stream, take_rest) != 0) return -1;
    if (stream->fd < 0 || stream->manner > MANNER_LAST) return refuse(t, "no stream");
    return 0;
}

struct lines {
    struct relay relay;
    struct span bytes;
};

static int take_lines(struct taking *t, const struct part *part, void *to) {
    struct lines *lines = to;
    if (part->number == PART_LINES) lines->bytes = part->data;
    return lines->bytes.size > STREAM_CHUNK ? refuse(t, "too long a line") : 0;
}

static int take_relay(struct taking *t) {
    struct lines lines = {.relay = {.fd = -1}};
    if (take_structure(t, &relay_layout, &lines, take_lines) != 0) return -1;
    if (lines.relay.fd < 0 || lines.relay.stream < 1 || lines.relay.stream > STREAMS) return refuse(t, "no relay");
    if (relay_restore(&t->l->relays, lines.relay.fd, lines.relay.stream, lines.bytes) == 0) return 0;
    return fail(t->reading.why, STEP_MEMORY, errno, "a relay");
}

static int take_lock(struct taking *t) {
    struct locks *locks = &t->l->locks;
    struct held held = {.parent = -1, .note = -1};
    if (take_structure(t, &lock_layout, &held, NULL) != 0) return -1;
    if (held.parent < 0 || locks->count == LOCK_LIMIT) return refuse(t, "no lock");
    locks->held[locks->count++] = held;
    return 0;
}

static int take_keep(struct taking *t) {
    struct keep keep = {.fd = -1};
    if (take_structure(t, &keep_layout, &keep, NULL) != 0) return -1;
    if (keep.fd < 0 || keep.name[0] == '\0') return refuse(t, "no descriptor that is kept");
    return keep_set(&t->l->keeps, keep.name, keep.fd, t->reading.why);
}

static int take_session(struct taking *t) {
    struct sessions *all = &t->l->sessions;
    struct session session = {.control = -1};
    if (take_structure(t, &session_layout, &session, NULL) != 0) return -1;
    if (session.state == SESSION_FREE || session.state > SESSION_RUNNING || all->live == SESSION_LIMIT)
        return refuse(t, "no session");
    all->places[all->live++] = session;
    return 0;
}

static int take_record(struct taking *t) {
    switch ((enum record_kind)t->reading.kind) {
    case RECORD_LAUNCHER:
        return take_launcher(t);
    case RECORD_OUTSIDE:
        return take_structure(t, &outside_layout, t->outside, NULL);
    case RECORD_STREAM:
        return take_stream(t);
    case RECORD_RELAY:
        return take_relay(t);
    case RECORD_LOCK:
        return take_lock(t);
    case RECORD_KEEP:
        return take_keep(t);
    case RECORD_SESSION:
        return take_session(t);
    case RECORD_ATTEMPT:
        return take_attempt(&t->reading, &t->l->attempts);
    }
    return 0; /* of a newer launcher, which says (FORM_NEEDS) that it can be done without */
}

int take_over(struct launcher *l, struct outside *outside, const void *bytes, size_t size, struct failure *why) {
    struct taking t = {.l = l, .outside = outside};
    *outside = (struct outside){.proc = -1, .notify = -1, .memory_score = -1, .devices = -1, .own_namespace = -1};
    l->namespace_of_reconciler = l->arrivals.table = l->arrivals.host = -1;
    if (form_open(&t.reading, bytes, size, why) != 0) return -1;
    while (form_next_record(&t.reading))
        if (take_record(&t) != 0) return -1;
    if (why->step != 0) return -1;
    if (l->namespace_of_reconciler < 0 || outside->own_namespace < 0 || outside->proc < 0 || t.streams != STREAMS)
        return refuse(&t, "the state lacks what no launcher goes without");
    return 0;
}
