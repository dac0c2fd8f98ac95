#define _GNU_SOURCE
#include "summary.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { CONFIGURATION_LIMIT = 16 << 20, SUMMARY_FORMAT = 2 };
static const char SUMMARY_MAGIC[] = "northstate summary\n";
static const char DEFAULT_STATE_DIR[] = "/var/lib/northstate/state";
/* Below the data_dir of a northstar.toml. */
static const char NORTHSTAR_STATE_DIR[] = "/@northstate/state";

/* The file's bytes, NULL with size 0 when there is none and none is named. False when it cannot be read. */
static bool read_configuration(const struct settings *settings, uint8_t **text, size_t *size) {
    *size = 0;
    *text = read_whole(settings->config, CONFIGURATION_LIMIT, size);
    return *text != NULL || (errno == ENOENT && !settings->named);
}

/* What a summary of this configuration begins with. */
static bool make_source(const struct settings *settings, const uint8_t *text, size_t size, struct span *source) {
    size_t room = size + 4 * (PATH_MAX + 8);
    uint8_t *bytes = malloc(room);
    if (bytes == NULL) return false;
    struct writer w = writer_over(bytes, room);
    put_u32(&w, SUMMARY_FORMAT);
    put_text(&w, RUNTIME_VERSION);
    put_text(&w, settings->config);
    put_u8(&w, text == NULL ? 0 : 1);
    put_u32(&w, (uint32_t)size);
    put_raw(&w, text, size);
    put_text(&w, settings->desired);
    put_text(&w, settings->state_dir);
    *source = (struct span){.data = bytes, .size = (uint32_t)(w.at - w.start)};
    return !w.failed;
}

/* The absolute path that a line gives behind `name`, in quotes or up to a comment; false when it gives none. */
static bool take_line(const char *line, size_t size, const char *name, char separator, char *path) {
    size_t at = strlen(name);
    if (size < at || memcmp(line, name, at) != 0) return false;
    while (at < size && separator == '=' && (line[at] == ' ' || line[at] == '\t')) at++;
    if (at == size || line[at++] != separator) return false;
    while (at < size && (line[at] == ' ' || line[at] == '\t')) at++;
    char quote = at < size && (line[at] == '"' || line[at] == '\'') ? line[at++] : '#';
    size_t end = at;
    while (end < size && line[end] != quote) end++;
    while (quote == '#' && end > at && strchr(" \t\r", line[end - 1]) != NULL) end--;
    if (end == at || line[at] != '/' || end - at > PATH_MAX) return false;
    memcpy(path, line + at, end - at);
    path[end - at] = '\0';
    return true;
}

/*
 * Which stateDir it is at the first look (src/config/summary.ts: stateDirIn). It may be another: then nothing is found
 * there, since what lies there is compared with the whole configuration.
 */
static void guess_state_dir(const struct settings *settings, const uint8_t *text, size_t size, char *path) {
    snprintf(path, PATH_MAX + 1, "%s", settings->state_dir[0] != '\0' ? settings->state_dir : DEFAULT_STATE_DIR);
    if (settings->state_dir[0] != '\0' || text == NULL) return;
    static char data_dir[PATH_MAX + 1];
    const char *line = (const char *)text, *end = line + size;
    while (line < end) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        size_t length = (size_t)((stop == NULL ? end : stop) - line);
        if (take_line(line, length, "stateDir", ':', path)) return;
        if (data_dir[0] == '\0') (void)take_line(line, length, "data_dir", '=', data_dir);
        line += length + 1;
    }
    if (data_dir[0] != '\0') snprintf(path, PATH_MAX + 1, "%s%s", data_dir, NORTHSTAR_STATE_DIR);
}

static bool take_path(struct cursor *c, char *room) {
    struct span path = take_text(c);
    if (path.size == 0 || path.size > PATH_MAX || path.data[0] != '/') return false;
    memcpy(room, path.data, path.size);
    room[path.size] = '\0';
    return true;
}

/* Nobody but root may have written it, and it is of exactly this source. */
static bool read_summary(const char *path, struct places *places) {
    struct stat stats;
    if (lstat(path, &stats) != 0 || !S_ISREG(stats.st_mode) || stats.st_uid != 0 || (stats.st_mode & 022) != 0)
        return false;
    size_t size = 0;
    uint8_t *bytes = read_whole(path, 2 * CONFIGURATION_LIMIT, &size);
    if (bytes == NULL) return false;
    struct cursor c = cursor_over(bytes, size);
    struct span magic = take_raw(&c, sizeof SUMMARY_MAGIC - 1);
    struct span head = take_raw(&c, places->source.size);
    bool found = !c.failed && memcmp(magic.data, SUMMARY_MAGIC, magic.size) == 0 &&
                 memcmp(head.data, places->source.data, head.size) == 0 && take_u8(&c) == 1 &&
                 take_path(&c, places->state_dir) && take_path(&c, places->run_dir) && take_path(&c, places->desired);
    free(bytes);
    return found;
}

bool find_places(const struct settings *settings, struct places *places) {
    char beside[PATH_MAX + 16], state_dir[PATH_MAX + 1], kept[PATH_MAX + 32];
    uint8_t *text;
    size_t size;
    if (!read_configuration(settings, &text, &size) || !make_source(settings, text, size, &places->source))
        return false;
    guess_state_dir(settings, text, size, state_dir);
    free(text);
    memcpy(places->config, settings->config, sizeof places->config);
    snprintf(beside, sizeof beside, "%s.summary", settings->config);
    snprintf(kept, sizeof kept, "%s/configuration.summary", state_dir);
    return read_summary(beside, places) || read_summary(kept, places);
}
