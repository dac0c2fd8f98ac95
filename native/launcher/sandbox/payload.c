/* Parses the payload of one op. Texts and lists are copied to where they are aligned and terminated. */
#define _GNU_SOURCE
#include "payload.h"

#include <limits.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum {
    LIST_LIMIT = 4096,
    GROUPS_LIMIT = 1024,
    HOSTNAME_LIMIT = 64,
    NOTIFY_NAME_LIMIT = 100,
    OUTPUT_LIMIT = 16 << 20,
    DESCRIPTOR_LIMIT = 1024,
};

void *reserve(struct parser *p, size_t size) {
    char *at = p->memory;
    p->memory += (size + 7) & ~(size_t)7;
    return at;
}

static int read_fd(struct parser *p) {
    uint16_t index = take_u16(&p->c);
    if (index < p->nfds) return p->fds[index];
    p->c.failed = true;
    return -1;
}

static char *read_text(struct parser *p, size_t limit) {
    struct span text = take_text(&p->c);
    if (text.size > limit) p->c.failed = true;
    if (p->c.failed) return NULL;
    char *copy = reserve(p, (size_t)text.size + 1);
    if (text.size) memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    return copy;
}

static char *read_path(struct parser *p) {
    char *path = read_text(p, PATH_MAX - 1);
    if (path != NULL && path[0] == '\0') p->c.failed = true;
    return path;
}

/* The count of a list whose items take four bytes or more each; one that claims more than is there is refused. */
static uint32_t read_count(struct parser *p, size_t limit) {
    uint32_t count = take_u32(&p->c);
    if (count > limit || count > (size_t)(p->c.end - p->c.at) / 4) p->c.failed = true;
    return p->c.failed ? 0 : count;
}

static struct strings read_strings(struct parser *p) {
    uint32_t count = read_count(p, LIST_LIMIT);
    if (p->c.failed) return (struct strings){0};
    struct strings list = {.count = count, .items = reserve(p, (count + 1) * sizeof(char *))};
    for (uint32_t i = 0; i < count; i++) list.items[i] = read_text(p, FRAME_LIMIT);
    list.items[count] = NULL;
    return list;
}

static struct numbers read_numbers(struct parser *p, size_t limit) {
    uint32_t count = read_count(p, limit);
    struct numbers list = {.count = count, .items = reserve(p, count * sizeof(uint32_t))};
    for (uint32_t i = 0; i < count; i++) list.items[i] = take_u32(&p->c);
    return list;
}

static struct sock_fprog read_program(struct parser *p) {
    struct span bytes = take_bytes(&p->c);
    size_t length = bytes.size / sizeof(struct sock_filter);
    if (bytes.size % sizeof(struct sock_filter) || length == 0 || length > BPF_MAXINSNS) p->c.failed = true;
    if (p->c.failed) return (struct sock_fprog){0};
    struct sock_fprog program = {.len = (uint16_t)length, .filter = reserve(p, bytes.size)};
    memcpy(program.filter, bytes.data, bytes.size);
    return program;
}

/* clang-format off */
#define FD op->fd = read_fd(p);
#define U8(field) f->field = take_u8(&p->c);
#define U32(field) f->field = take_u32(&p->c);
#define I32(field) f->field = (int32_t)take_u32(&p->c);
#define U64(field) f->field = take_u64(&p->c);
#define TEXT(field, limit) f->field = read_text(p, limit);
#define PATH(field) f->field = read_path(p);
#define TEXTS(field) f->field = read_strings(p);
#define U32S(field, limit) f->field = read_numbers(p, limit);
#define BYTES(field) f->field = take_bytes(&p->c);
#define PROGRAM(field) f->field = read_program(p);
#define CHECK(condition) if (!(condition)) p->c.failed = true;
/* clang-format on */

#define OP(number, NAME, name, LIST, STAGE, TIMES, AFTER, fields)                                                      \
    static void parse_##name(struct parser *p, struct op *op) {                                                        \
        struct op_##name *f = &op->name;                                                                               \
        (void)p, (void)f;                                                                                              \
        fields                                                                                                         \
    }
#define DATA OP
#include "op-table.def"

void parse_op(struct parser *p, struct op *op) {
    static void (*const PARSERS[])(struct parser *, struct op *) = {
#define OP(number, NAME, name, ...) [number] = parse_##name,
#define DATA OP
#include "op-table.def"
    };
    op->fd = -1;
    PARSERS[op->kind](p, op);
}
