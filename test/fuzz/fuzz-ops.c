/*
 * Op lists from anybody: the first byte says whether it is a go list and how many descriptors came along, the rest is
 * the list. What is understood is read to its end: every text, number and filter lies in the list's own memory.
 */
#include "../../native/launcher/memory.h"
#include "../../native/launcher/sandbox/ops.h"
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

/* In place of memory.c: the sanitizer sees what goes beyond. */
void *spec_alloc(size_t size) { return calloc(1, size); }

void spec_free(void *memory, size_t size) {
    (void)size;
    free(memory);
}

static size_t sum;

static void read_bytes(const void *data, size_t size) {
    const unsigned char *bytes = data;
    for (size_t i = 0; i < size; i++) sum += bytes[i];
}

static void read_text(const char *text) {
    if (text != NULL) sum += strlen(text);
}

static void read_strings(struct strings list) {
    for (uint32_t i = 0; i < list.count; i++) read_text(list.items[i]);
    if (list.items[list.count] != NULL) abort();
}

/* Each kind of field is read as far as it says that it goes. */
#define FD
#define U8(field) sum += f->field;
#define U32(field) sum += f->field;
#define I32(field) sum += (size_t)f->field;
#define U64(field) sum += f->field;
#define TEXT(field, limit) read_text(f->field);
#define PATH(field)                                                                                                    \
    if (f->field[0] == '\0') abort();                                                                                  \
    read_text(f->field);
#define TEXTS(field) read_strings(f->field);
#define U32S(field, limit) read_bytes(f->field.items, f->field.count * sizeof(uint32_t));
#define BYTES(field) read_bytes(f->field.data, f->field.size);
#define PROGRAM(field) read_bytes(f->field.filter, f->field.len * sizeof(struct sock_filter));
#define CHECK(condition)

#define OP(number, NAME, name, LIST, STAGE, TIMES, AFTER, fields)                                                      \
    static void read_##name(const struct op *op) {                                                                     \
        const struct op_##name *f = &op->name;                                                                         \
        (void)f;                                                                                                       \
        fields                                                                                                         \
    }
#define DATA OP
#include "../../native/launcher/sandbox/op-table.def"

static void read_op(const struct op *op) {
    static void (*const READERS[])(const struct op *) = {
#define OP(number, NAME, name, ...) [number] = read_##name,
#define DATA OP
#include "../../native/launcher/sandbox/op-table.def"
    };
    READERS[op->kind](op);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const int fds[] = {100, 101, 102, 103, 104, 105, 106};
    static const enum list LISTS[] = {LIST_PREPARE, LIST_GO, LIST_JOIN, LIST_JOIN};
    struct failure why;
    if (size == 0) return 0;
    struct cursor c = cursor_over(data + 1, size - 1);
    struct ops *ops = ops_parse(&c, fds, data[0] % 8u, LISTS[data[0] >> 3 & 3u], &why);
    if (ops == NULL) {
        if (why.step == 0 || why.error == 0) abort();
        return 0;
    }
    for (uint32_t i = 0; i < ops->count; i++) read_op(&ops->items[i]);
    ops_free(ops);
    return 0;
}
