/*
 * What one launcher hands over to the next, as bytes: a heading, then parts, each a number, a size and so many bytes.
 * Part 0 begins a record and says of what kind; the last part counts those before it. A reader steps over numbers and
 * kinds that it does not know, and leaves at zero what is not there: so a field more, or a field less, breaks nothing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../failure.h"
#include "../wire.h"

/*
 * FORM_VERSION: of the form that is written. FORM_NEEDS: the oldest reader that understands it; it becomes the version
 * when something in it must not be stepped over.
 */
enum { FORM_VERSION = 1, FORM_NEEDS = 1 };

/* How a member of a structure is written. */
enum field_kind {
    FIELD_NUMBER,     /* 1, 2, 4 or 8 bytes, little-endian */
    FIELD_FLAG,       /* a bool */
    FIELD_TEXT,       /* an array that ends with a NUL */
    FIELD_BYTES,      /* an array */
    FIELD_DESCRIPTOR, /* with what it is; nothing is written of -1 */
    FIELD_LEFT,       /* not in the form: the comment in the list says why */
    FIELD_ELSEWHERE   /* handover.c writes it by itself */
};

struct field {
    uint16_t number;
    uint8_t kind;
    uint32_t offset;
    uint32_t size;
    const char *name;
};

/* A structure: the kind of its records, and every member that it has. */
struct layout {
    uint16_t kind;
    const struct field *fields;
    size_t count;
};

enum { PART_RECORD = 0, PART_END = 0xffff };

/* Writes into a descriptor, through a buffer. */
struct form {
    int fd;
    bool failed; /* errno says why */
    uint32_t parts;
    size_t used;
    uint8_t buffer[65536];
};

/* Begins with the heading, which names the runtime's version. */
void form_begin(struct form *form, int fd, const char *runtime);
void form_record(struct form *form, uint16_t kind);
/* Announces a part; form_bytes gives what is in it. */
void form_part(struct form *form, uint16_t number, size_t size);
void form_bytes(struct form *form, const void *bytes, size_t size);
/* One member, as its field has it. */
void form_field(struct form *form, const struct field *field, const void *member);
/* A record of a structure, as its layout has it; parts of the record may follow. */
void form_structure(struct form *form, const struct layout *layout, const void *from);
/* 0, or -1 and errno of the first write that failed. */
int form_end(struct form *form);

struct part {
    uint16_t number;
    struct span data;
};

struct reading {
    struct cursor at;
    uint32_t parts;
    uint16_t kind; /* of the record that is read */
    struct failure *why;
};

/* Reads the heading. 0, or -1 and the failure: no such form, or one that needs a newer reader, which is named. */
int form_open(struct reading *reading, const void *bytes, size_t size, struct failure *why);
/* The next record; false at the end, or with the failure in `why`. */
bool form_next_record(struct reading *reading);
/* The next part of this record; false when it has no more. */
bool form_next_part(struct reading *reading, struct part *part);
/* Puts a part where its field lies. 0; 1: no field of the layout has this number; -1 and the failure. */
int form_take(const struct reading *reading, const struct layout *layout, const struct part *part, void *to);
