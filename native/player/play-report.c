#define _GNU_SOURCE
#include "play-report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { R_KEEP = 11 };

__attribute__((format(printf, 2, 3))) static void add(struct report *report, const char *format, ...) {
    char piece[8192];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(piece, sizeof piece, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= sizeof piece) return;
    if (report->size + (size_t)length + 1 > report->room) {
        size_t room = 2 * report->room + sizeof piece;
        char *grown = realloc(report->text, room);
        if (grown == NULL) return;
        report->text = grown;
        report->room = room;
    }
    memcpy(report->text + report->size, piece, (size_t)length + 1);
    report->size += (size_t)length;
}

/* What stands in a text of JSON: names and messages have nothing that needs more than this. */
static void add_text(struct report *report, const char *text, size_t size) {
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)text[i];
        if (byte == '"' || byte == '\\')
            add(report, "\\%c", byte);
        else if (byte < 0x20)
            add(report, "?");
        else
            add(report, "%c", byte);
    }
}

void report_unit(struct report *report, struct span name, const char *why, bool started) {
    add(report, report->size == 0 ? "[\"" : ",[\"");
    add_text(report, (const char *)name.data, name.size);
    add(report, why == NULL ? "\",null" : "\",\"");
    if (why != NULL) {
        add_text(report, why, strlen(why));
        add(report, "\"");
    }
    add(report, started && why == NULL ? ",true]" : ",false]");
}

void report_keep(struct report *report, struct link *link, const char *refused, uint64_t began_ns, uint64_t ended_ns) {
    struct report whole = {0};
    add(&whole, "{\"began\":%llue-6,\"ended\":%llue-6,\"refused\":", (unsigned long long)began_ns,
        (unsigned long long)ended_ns);
    add(&whole, refused == NULL ? "null" : "\"");
    if (refused != NULL) {
        add_text(&whole, refused, strlen(refused));
        add(&whole, "\"");
    }
    add(&whole, ",\"units\":[");
    int fd = memfd_create("northstate played", MFD_CLOEXEC);
    static const char END[] = "]}";
    bool written = fd >= 0 && write(fd, whole.text, whole.size) == (ssize_t)whole.size &&
                   (report->size == 0 || write(fd, report->text, report->size) == (ssize_t)report->size) &&
                   write(fd, END, sizeof END - 1) == (ssize_t)(sizeof END - 1);
    uint8_t body[64];
    struct writer w = writer_over(body, sizeof body);
    put_text(&w, "played");
    put_u16(&w, 0);
    struct span part = {.data = body, .size = (uint32_t)(w.at - w.start)};
    if (written) link_wait(link, link_request(link, R_KEEP, &part, 1, &fd, 1));
    if (fd >= 0) close(fd);
    free(whole.text);
}
