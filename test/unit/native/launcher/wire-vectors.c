/*
 * Reads vectors (the lines of vectors.txt that are no comment) from stdin: each is decoded, and encoded again. Says
 * what is wrong and ends with 1, or says how many there were.
 */
#include "../../../../native/launcher/wire.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE = 512 };

static int wrong(const char *line, const char *got) {
    fprintf(stderr, "%s: got %s\n", line, got);
    return 1;
}

/* Into memory of exactly that size, so that the sanitizer sees a read beyond it. */
static uint8_t *parse_hex(const char *text, size_t *size) {
    *size = text[0] == '-' ? 0 : strlen(text) / 2;
    uint8_t *bytes = malloc(*size > 0 ? *size : 1);
    for (size_t i = 0; i < *size; i++) {
        unsigned int byte;
        sscanf(text + 2 * i, "%2x", &byte);
        bytes[i] = (uint8_t)byte;
    }
    return bytes;
}

static void show_span(char *shown, struct span span) {
    if (span.size == 0) strcat(shown, "-");
    for (uint32_t i = 0; i < span.size; i++) sprintf(shown + strlen(shown), "%02x", span.data[i]);
}

/* Takes the field, and puts what it gave into `again`. */
static void copy_field(const char *field, struct cursor *c, struct writer *again, char *shown) {
    uint64_t value = 0;
    if (strcmp(field, "bytes") == 0 || strcmp(field, "text") == 0) {
        struct span span = field[0] == 'b' ? take_bytes(c) : take_text(c);
        put_bytes(again, span.data, span.size);
        show_span(shown, span);
        return;
    }
    if (strcmp(field, "u8") == 0) put_u8(again, (uint8_t)(value = take_u8(c)));
    if (strcmp(field, "u16") == 0) put_u16(again, (uint16_t)(value = take_u16(c)));
    if (strcmp(field, "u32") == 0) put_u32(again, (uint32_t)(value = take_u32(c)));
    if (strcmp(field, "u64") == 0) put_u64(again, value = take_u64(c));
    sprintf(shown + strlen(shown), "%" PRIu64, value);
}

static int check_line(const char *line, char *fields, char *hex, char *expected) {
    size_t size;
    uint8_t *bytes = parse_hex(hex, &size);
    uint8_t *copy = malloc(size > 0 ? size : 1);
    struct cursor c = cursor_over(bytes, size);
    struct writer again = writer_over(copy, size);
    char shown[LINE] = "";
    for (char *field = strtok(fields, " "); field != NULL; field = strtok(NULL, " ")) {
        if (shown[0] != '\0') strcat(shown, " ");
        copy_field(field, &c, &again, shown);
    }
    const char *got = c.failed ? "short" : cursor_finished(&c) ? shown : "rest";
    if (c.failed && strcmp(expected, "nul") == 0) got = "nul";
    int failed = strcmp(got, expected) == 0 ? 0 : wrong(line, got);
    if (cursor_finished(&c) && (again.failed || memcmp(bytes, copy, size) != 0)) failed = wrong(line, "other bytes");
    free(bytes);
    free(copy);
    return failed;
}

static int check_bounds(void) {
    uint8_t room[FRAME_HEADER + 2];
    struct writer w = writer_over(room, sizeof room);
    frame_begin(&w, 7, 9);
    put_u16(&w, 1);
    if (frame_end(&w) != sizeof room || room[0] != 10) return wrong("a frame that fits exactly", "something else");
    put_u8(&w, 1);
    put_u64(&w, 1);
    if (frame_end(&w) != 0) return wrong("a frame without room", "a size");
    struct cursor c = cursor_over(room, sizeof room);
    struct cursor inner = take_cursor(&c, 4);
    if (take_u32(&inner) != 10 || !cursor_finished(&inner) || take_u16(&c) != 7)
        return wrong("an inner cursor", "other bytes");
    inner = take_cursor(&c, 9);
    if (!inner.failed || !c.failed || take_u8(&c) != 0 || cursor_finished(&c)) return wrong("beyond the end", "bytes");
    return 0;
}

int main(void) {
    char line[LINE];
    int count = 0;
    while (fgets(line, sizeof line, stdin) != NULL) {
        char whole[LINE], fields[LINE], hex[LINE], expected[LINE];
        line[strcspn(line, "\n")] = '\0';
        strcpy(whole, line);
        if (sscanf(line, "%[^|] | %s | %[^\n]", fields, hex, expected) != 3) return wrong(whole, "no vector");
        if (check_line(whole, fields, hex, expected) != 0) return 1;
        count++;
    }
    if (check_bounds() != 0) return 1;
    printf("%d\n", count);
    return 0;
}
