#define _GNU_SOURCE
#include "form.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "descriptor.h"

static const char MAGIC[8] = "nshandov";

static void flush(struct form *form) {
    for (size_t done = 0; done < form->used && !form->failed;) {
        ssize_t size = write(form->fd, form->buffer + done, form->used - done);
        if (size < 0 && errno == EINTR) continue;
        if (size <= 0) form->failed = true;
        if (size > 0) done += (size_t)size;
    }
    form->used = 0;
}

void form_bytes(struct form *form, const void *bytes, size_t size) {
    for (const uint8_t *at = bytes; size > 0;) {
        size_t room = sizeof form->buffer - form->used, some = size < room ? size : room;
        memcpy(form->buffer + form->used, at, some);
        form->used += some;
        at += some;
        size -= some;
        if (form->used == sizeof form->buffer) flush(form);
    }
}

void form_begin(struct form *form, int fd, const char *runtime) {
    form->fd = fd;
    form->failed = false;
    form->parts = 0;
    form->used = 0;
    uint8_t heading[64];
    struct writer w = writer_over(heading, sizeof heading);
    put_raw(&w, MAGIC, sizeof MAGIC);
    put_u32(&w, FORM_VERSION);
    put_u32(&w, FORM_NEEDS);
    put_text(&w, runtime);
    if (w.failed) {
        errno = ENAMETOOLONG;
        form->failed = true;
    }
    form_bytes(form, heading, (size_t)(w.at - w.start));
}

void form_part(struct form *form, uint16_t number, size_t size) {
    uint8_t head[6];
    struct writer w = writer_over(head, sizeof head);
    put_u16(&w, number);
    put_u32(&w, (uint32_t)size);
    form_bytes(form, head, sizeof head);
    form->parts++;
}

void form_record(struct form *form, uint16_t kind) {
    uint8_t bytes[2] = {(uint8_t)kind, (uint8_t)(kind >> 8)};
    form_part(form, PART_RECORD, sizeof bytes);
    form_bytes(form, bytes, sizeof bytes);
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers are written as they lie in memory");

static void write_descriptor(struct form *form, const struct field *field, const uint8_t *at) {
    struct identity is;
    int fd = *(const int *)(const void *)at;
    if (fd < 0) return;
    if (descriptor_identify(fd, &is) != 0) {
        form->failed = true;
        return;
    }
    uint8_t bytes[DESCRIPTOR_SIZE];
    struct writer w = writer_over(bytes, sizeof bytes);
    put_u32(&w, (uint32_t)fd);
    put_u64(&w, is.device);
    put_u64(&w, is.inode);
    put_u32(&w, is.mode);
    form_part(form, field->number, sizeof bytes);
    form_bytes(form, bytes, sizeof bytes);
}

void form_field(struct form *form, const struct field *field, const void *member) {
    const uint8_t *at = member;
    switch ((enum field_kind)field->kind) {
    case FIELD_DESCRIPTOR:
        write_descriptor(form, field, at);
        return;
    case FIELD_NUMBER:
    case FIELD_FLAG:
    case FIELD_TEXT:
    case FIELD_BYTES: {
        size_t size = field->kind == FIELD_TEXT ? strnlen((const char *)at, field->size) : field->size;
        form_part(form, field->number, size);
        form_bytes(form, at, size);
        return;
    }
    case FIELD_LEFT:
    case FIELD_ELSEWHERE:
        return;
    }
}

void form_structure(struct form *form, const struct layout *layout, const void *from) {
    form_record(form, layout->kind);
    for (size_t i = 0; i < layout->count; i++)
        form_field(form, &layout->fields[i], (const uint8_t *)from + layout->fields[i].offset);
}

int form_end(struct form *form) {
    uint32_t parts = form->parts;
    uint8_t count[4];
    struct writer w = writer_over(count, sizeof count);
    put_u32(&w, parts);
    form_part(form, PART_END, sizeof count);
    form_bytes(form, count, sizeof count);
    flush(form);
    return form->failed ? -1 : 0;
}

int form_open(struct reading *reading, const void *bytes, size_t size, struct failure *why) {
    *reading = (struct reading){.at = cursor_over(bytes, size), .why = why};
    struct cursor *c = &reading->at;
    struct span magic = take_raw(c, sizeof MAGIC);
    uint32_t version = take_u32(c), needs = take_u32(c);
    struct span runtime = take_text(c);
    if (c->failed || memcmp(magic.data, MAGIC, sizeof MAGIC) != 0)
        return fail(why, STEP_REEXEC, EBADMSG, "what was handed over is no state of a launcher");
    if (needs <= FORM_VERSION) return 0;
    return fail(why, STEP_REEXEC, EPROTO,
                "the state is that of northstate %.*s: form %u, which needs a reader of form %u; this one reads %d",
                (int)(runtime.size < 64 ? runtime.size : 64), (const char *)runtime.data, version, needs, FORM_VERSION);
}

static bool malformed(const struct reading *reading, const char *what) {
    fail(reading->why, STEP_REEXEC, EBADMSG, "%s after part %u", what, reading->parts);
    return false;
}

static bool take_part(struct reading *reading, struct part *part) {
    part->number = take_u16(&reading->at);
    part->data = take_bytes(&reading->at);
    if (reading->at.failed) return malformed(reading, "the state ends");
    reading->parts++;
    return true;
}

bool form_next_record(struct reading *reading) {
    struct part part;
    while (form_next_part(reading, &part)) continue;
    if (reading->why->step != 0 || !take_part(reading, &part)) return false;
    struct cursor c = cursor_over(part.data.data, part.data.size);
    if (part.number == PART_END) {
        uint32_t count = take_u32(&c);
        bool whole = cursor_finished(&c) && count == reading->parts - 1 && reading->at.at == reading->at.end;
        return whole ? false : malformed(reading, "what follows is not the end");
    }
    reading->kind = take_u16(&c);
    return part.number == PART_RECORD && cursor_finished(&c) ? true : malformed(reading, "no record begins");
}

bool form_next_part(struct reading *reading, struct part *part) {
    if (reading->why->step != 0 || reading->at.failed) return false;
    struct cursor ahead = reading->at;
    uint16_t number = take_u16(&ahead);
    if (ahead.failed) return malformed(reading, "the state ends");
    if (number == PART_RECORD || number == PART_END) return false;
    return take_part(reading, part);
}

static int refuse(const struct reading *reading, const struct field *field, int error, const char *what) {
    return fail(reading->why, STEP_REEXEC, error, "%s: %s", field->name, what);
}

static int take_number(const struct reading *reading, const struct field *field, struct span data, uint8_t *at) {
    uint64_t value = 0;
    if (data.size == 0 || data.size > sizeof value) return refuse(reading, field, EBADMSG, "no number");
    memcpy(&value, data.data, data.size);
    if (field->size < sizeof value && value >> (8 * field->size) != 0)
        return refuse(reading, field, ERANGE, "too large a number");
    if (field->kind == FIELD_FLAG && value > 1) return refuse(reading, field, ERANGE, "neither yes nor no");
    memcpy(at, &value, field->size);
    return 0;
}

static int take_descriptor(const struct reading *reading, const struct field *field, struct span data, int *at) {
    struct cursor c = cursor_over(data.data, data.size);
    uint32_t number = take_u32(&c);
    struct identity is = {.device = take_u64(&c), .inode = take_u64(&c), .mode = take_u32(&c)};
    if (!cursor_finished(&c) || number > INT32_MAX) return refuse(reading, field, EBADMSG, "no descriptor");
    if (descriptor_claim((int)number, &is) != 0)
        return fail(reading->why, STEP_REEXEC, errno, "%s: descriptor %u is not the one that was handed over",
                    field->name, number);
    *at = (int)number;
    return 0;
}

static int take_array(const struct reading *reading, const struct field *field, struct span data, uint8_t *at) {
    bool text = field->kind == FIELD_TEXT;
    if (text ? data.size >= field->size : data.size != field->size)
        return refuse(reading, field, EBADMSG, "another size");
    if (text && data.size > 0 && memchr(data.data, 0, data.size) != NULL)
        return refuse(reading, field, EBADMSG, "a NUL in a text");
    if (data.size > 0) memcpy(at, data.data, data.size);
    if (text) at[data.size] = '\0';
    return 0;
}

int form_take(const struct reading *reading, const struct layout *layout, const struct part *part, void *to) {
    for (size_t i = 0; i < layout->count; i++) {
        const struct field *field = &layout->fields[i];
        if (field->number != part->number || field->kind == FIELD_LEFT || field->kind == FIELD_ELSEWHERE) continue;
        uint8_t *at = (uint8_t *)to + field->offset;
        if (field->kind == FIELD_NUMBER || field->kind == FIELD_FLAG)
            return take_number(reading, field, part->data, at);
        if (field->kind == FIELD_DESCRIPTOR) return take_descriptor(reading, field, part->data, (int *)(void *)at);
        return take_array(reading, field, part->data, at);
    }
    return 1;
}
