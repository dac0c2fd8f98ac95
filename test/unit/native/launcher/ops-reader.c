/*
 * Parses op lists (one a line: `p` or `g` for the list's kind, a blank, hexadecimal bytes) under the sanitizers, each
 * in memory of exactly its size. Answers with the numbers of its ops and, after a colon, a text of each; or with the
 * place of what is wrong.
 */
#include "../../../../native/launcher/memory.h"
#include "../../../../native/launcher/sandbox/ops.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In place of memory.c: the sanitizer sees what goes beyond. */
void *spec_alloc(size_t size) { return calloc(1, size); }

void spec_free(void *memory, size_t size) {
    (void)size;
    free(memory);
}

static uint8_t *parse_hex(const char *text, size_t *size) {
    *size = strcspn(text, "\n") / 2;
    uint8_t *bytes = malloc(*size > 0 ? *size : 1);
    for (size_t i = 0; i < *size; i++) {
        unsigned int byte;
        sscanf(text + 2 * i, "%2x", &byte);
        bytes[i] = (uint8_t)byte;
    }
    return bytes;
}

/* On the one line of its list, whatever is in it. */
static void show_text(const char *text) {
    putchar(':');
    for (; *text != '\0'; text++) putchar(*text == '\n' ? ' ' : *text);
}

static void show_strings(struct strings list) {
    for (uint32_t i = 0; i < list.count; i++) show_text(list.items[i]);
    if (list.items[list.count] != NULL) printf(":not terminated");
}

static void show(const struct op *op) {
    printf(" %d", op->kind);
    if (op->fd >= 0) printf("#%d", op->fd);
    switch (op->kind) {
    case OP_TREE:
        show_text(op->tree.target);
        break;
    case OP_FILESYSTEM:
        show_text(op->filesystem.type);
        show_text(op->filesystem.target);
        show_strings(op->filesystem.options);
        break;
    case OP_MASK:
        show_text(op->mask.path);
        break;
    case OP_LABEL:
        show_text(op->label.context);
        break;
    case OP_IDS:
        for (uint32_t i = 0; i < op->ids.groups.count; i++) printf(":%u", op->ids.groups.items[i]);
        break;
    case OP_SECCOMP:
        printf(":%u:%u", op->seccomp.program.len, op->seccomp.program.filter[op->seccomp.program.len - 1].k);
        break;
    case OP_TOOLS:
        show_strings(op->tools.names);
        break;
    case OP_NOTIFY:
        show_text(op->notify.name);
        break;
    case OP_LOOK:
        printf(":%u", op->look.kind);
        show_text(op->look.path);
        break;
    case OP_COPY:
        printf(":%u:%llu", op->copy.direction, (unsigned long long)op->copy.size);
        show_text(op->copy.path);
        break;
    case OP_EXEC:
        show_text(op->exec.path);
        show_strings(op->exec.arguments);
        show_strings(op->exec.environment);
        break;
    default:
        break;
    }
}

int main(void) {
    static const int fds[] = {100, 101, 102};
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, stdin) > 0) {
        size_t size;
        struct failure why;
        uint8_t *bytes = parse_hex(line + 2, &size);
        struct cursor c = cursor_over(bytes, size);
        struct ops *ops = ops_parse(&c, fds, sizeof fds / sizeof *fds,
                                    line[0] == 'g'   ? LIST_GO
                                    : line[0] == 'j' ? LIST_JOIN
                                                     : LIST_PREPARE,
                                    &why);
        if (ops == NULL) show_text(why.subject);
        for (uint32_t i = 0; ops != NULL && i < ops->count; i++) show(&ops->items[i]);
        printf("\n");
        ops_free(ops);
        free(bytes);
    }
    free(line);
}
