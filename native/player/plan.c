#define _GNU_SOURCE
#include "plan.h"

#include <string.h>

static const char MAGIC[] = "northstate bootplan\n";

static const char *const FIELDS[] = {
#define DEED(number, NAME, name, fields) [number] = fields,
#include "deed-table.def"
};
enum { KINDS = sizeof FIELDS / sizeof FIELDS[0] };

/* As in zlib and Ethernet (CRC-32): what a disk has got wrong shows. */
static uint32_t checksum(const uint8_t *bytes, size_t size) {
    uint32_t table[256];
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t value = i;
        for (int bit = 0; bit < 8; bit++) value = value & 1 ? value >> 1 ^ 0xedb88320u : value >> 1;
        table[i] = value;
    }
    uint32_t sum = ~0u;
    for (size_t i = 0; i < size; i++) sum = sum >> 8 ^ table[(sum ^ bytes[i]) & 0xff];
    return ~sum;
}

/* Into room that its limit always fits; the text is terminated. */
static void take_words(struct cursor *c, char *room, bool absolute) {
    struct span text = take_text(c);
    if (text.size > PATH_MAX || (absolute && (text.size == 0 || text.data[0] != '/'))) {
        c->failed = true;
        return;
    }
    if (text.size > 0) memcpy(room, text.data, text.size);
    room[text.size] = '\0';
}

static uint32_t take_slot(struct cursor *c) {
    uint32_t slot = take_u32(c);
    if (slot >= SLOT_LIMIT) c->failed = true;
    return c->failed ? 0 : slot;
}

static void take_list(struct cursor *c, struct deed *deed) {
    uint16_t count = take_u16(c);
    if (count > FRAME_FDS) c->failed = true;
    deed->listed = c->failed ? 0 : count;
    for (size_t i = 0; i < deed->listed; i++) deed->list[i] = take_slot(c);
}

static void take_field(struct cursor *c, char field, struct deed *deed) {
    switch (field) {
    case 's':
        deed->slot = take_slot(c);
        break;
    case 'f':
        deed->from = take_slot(c);
        break;
    case 'n':
        deed->number[deed->numbers++] = take_u64(c);
        break;
    case 'p':
    case 'q':
        take_words(c, deed->text[deed->texts++], field == 'p');
        break;
    case 't':
    case 'b':
        deed->bytes[deed->pieces++] = take_bytes(c);
        break;
    default:
        take_list(c, deed);
    }
}

bool deed_take(struct cursor *c, struct deed *deed) {
    uint16_t kind = take_u16(c);
    struct cursor fields = take_cursor(c, take_u32(c));
    if (c->failed || kind >= KINDS || FIELDS[kind] == NULL) return false;
    deed->kind = (enum deed_kind)kind;
    deed->texts = deed->numbers = deed->pieces = deed->listed = 0;
    for (const char *field = FIELDS[kind]; *field != '\0'; field++) take_field(&fields, *field, deed);
    return cursor_finished(&fields);
}

bool unit_take(struct cursor *c, uint32_t index, struct unit *unit) {
    unit->name = take_text(c);
    unit->needed = take_u16(c);
    if (c->failed || unit->name.size == 0 || unit->name.size > NAME_LIMIT || unit->needed > NEED_LIMIT) return false;
    for (size_t i = 0; i < unit->needed; i++)
        if ((unit->needs[i] = take_u32(c)) >= index) return false;
    unit->deeds = take_cursor(c, take_u32(c));
    return !c->failed;
}

/* Everything, so that no deed is done of a plan that turns out to be none. */
static bool holds_units(const struct plan *plan) {
    struct cursor c = plan->rest;
    static struct deed deed;
    for (uint32_t i = 0; i < plan->units; i++) {
        struct unit unit;
        if (!unit_take(&c, i, &unit)) return false;
        for (size_t deeds = 0; unit.deeds.at < unit.deeds.end; deeds++)
            if (deeds == DEED_LIMIT || !deed_take(&unit.deeds, &deed)) return false;
    }
    return cursor_finished(&c);
}

const char *plan_take(struct plan *plan, struct cursor c) {
    if (take_u32(&c) != PLAN_FORMAT) return "it has another version's form";
    *plan = (struct plan){0};
    plan->runtime = take_text(&c);
    plan->kernel = take_text(&c);
    plan->machine = take_text(&c);
    plan->source = take_bytes(&c);
    plan->document = take_text(&c);
    plan->has_document = take_u8(&c) == 1;
    plan->document_text = take_bytes(&c);
    plan->generation = take_u64(&c);
    plan->units = take_u32(&c);
    plan->rest = c;
    if (c.failed || plan->units > UNIT_LIMIT || !holds_units(plan)) return "something in it cannot be";
    return NULL;
}

const char *plan_parse(struct plan *plan, const uint8_t *bytes, size_t size) {
    enum { MARK = sizeof MAGIC - 1 };
    struct cursor c = cursor_over(bytes, size);
    struct span magic = take_raw(&c, MARK);
    uint32_t sum = take_u32(&c);
    if (c.failed || memcmp(magic.data, MAGIC, MARK) != 0) return "it is no boot plan";
    if (checksum(c.at, (size_t)(c.end - c.at)) != sum) return "it is torn, or the disk has changed it";
    return plan_take(plan, c);
}
