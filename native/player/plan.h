/*
 * The boot plan: what a cold boot of the generation in force does, as src/boot/ writes it. It is read whole, and all
 * of it is parsed before the first deed is done.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../launcher/wire.h"

enum {
    PLAN_FORMAT = 3,
    PLAN_LIMIT = 64 << 20, /* bytes */
    UNIT_LIMIT = 8192,
    NEED_LIMIT = 256,
    DEED_LIMIT = 4096, /* in a unit */
    SLOT_LIMIT = 256,  /* descriptors that a unit has at once */
    TEXTS = 4,
    NUMBERS = 8,
};

/* Every deed, by its number in the file (native/wire/boot-plan.ts has the same rows). */
enum deed_kind {
    DEED_NONE = 0,
#define DEED(number, NAME, name, fields) DEED_##NAME = number,
#include "deed-table.def"
};

/* One deed, as it was read; which members mean something is its row's (deed-table.def). */
struct deed {
    enum deed_kind kind;
    uint32_t slot;
    uint32_t from;
    size_t texts;
    size_t numbers;
    size_t pieces;
    char text[TEXTS][PATH_MAX + 1];
    uint64_t number[NUMBERS];
    struct span bytes[3];
    size_t listed;
    uint32_t list[FRAME_FDS];
};

/* What belongs together: an image, or a container. */
struct unit {
    struct span name;
    size_t needed;
    uint32_t needs[NEED_LIMIT]; /* units before this one */
    struct cursor deeds;
};

struct plan {
    struct span runtime;
    struct span kernel;
    struct span machine;
    struct span source;   /* the configuration's: what a summary begins with */
    struct span document; /* path */
    bool has_document;
    struct span document_text;
    uint64_t generation;
    uint32_t units;
    struct cursor rest; /* at the first unit */
};

/* Reads a plan in memory. NULL when it is one, else why it is none. */
const char *plan_parse(struct plan *plan, const uint8_t *bytes, size_t size);
/* The same for what comes behind its mark and its checksum. */
const char *plan_take(struct plan *plan, struct cursor c);
/* The next unit of `c`, which begins at plan->rest; false when it breaks a rule. `index` is its own. */
bool unit_take(struct cursor *c, uint32_t index, struct unit *unit);
/* The next deed; false when it breaks a rule. */
bool deed_take(struct cursor *c, struct deed *deed);
