#define _GNU_SOURCE
#include "mount-table.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "../memory.h"

/* More than ten thousand mounts take; a host with more has its later ones unseen, and that is said. */
enum { ROOM = 4 << 20 };

/*
 * A table is read at every change. On the heap each would dirty pages that the inits share with the launcher, and leave
 * those born since with copies of their own.
 */
char *read_mount_table(int fd) {
    if (lseek(fd, 0, SEEK_SET) != 0) return NULL;
    char *text = dontfork_alloc(ROOM);
    for (size_t size = 0; text != NULL;) {
        ssize_t count = read(fd, text + size, ROOM - size - 1);
        if (count < 0 && errno == EINTR) continue;
        if (count == 0 && size + 1 < ROOM) return text;
        if (count == 0) errno = ENOMEM;
        if (count <= 0) break;
        size += (size_t)count;
    }
    int error = errno;
    free_mount_table(text);
    errno = error;
    return NULL;
}

int lend_mount_table(char *table, bool lent) { return dontfork_lend(table, ROOM, lent); }

void free_mount_table(char *table) { dontfork_free(table, ROOM); }

static const char *next_word(const char *at) {
    while (*at != ' ' && *at != '\n' && *at != '\0') at++;
    return *at == ' ' ? at + 1 : at;
}

bool next_mount(const char **at, struct mount_line *line) {
    enum { ID, PARENT, DEVICE, ROOT, PATH, OPTIONS, OPTIONAL };
    const char *word = *at;
    *line = (struct mount_line){.id = word};
    for (int field = ID; field < OPTIONAL; field++) {
        if (*word == '\n' || *word == '\0') return false;
        if (field == DEVICE) line->device = word;
        if (field == PATH) line->path = word;
        word = next_word(word);
    }
    static const char SHARED[] = "shared:";
    for (; *word != '\n' && *word != '\0' && *word != '-'; word = next_word(word))
        if (strncmp(word, SHARED, sizeof SHARED - 1) == 0) line->shared = true;
    const char *end = strchr(word, '\n');
    *at = end == NULL ? word + strlen(word) : end + 1;
    return true;
}

bool same_word(const char *a, const char *b) {
    while (*a == *b && *a != ' ' && *a != '\n' && *a != '\0') {
        a++;
        b++;
    }
    return *a == *b && *a != '\0';
}

/* Blanks, line ends and backslashes stand as a backslash and three octal digits. */
bool mount_path(const char *escaped, char *path, size_t room) {
    size_t size = 0;
    for (const char *at = escaped; *at != ' ' && *at != '\n' && *at != '\0'; at++) {
        char character = *at;
        if (character == '\\' && at[1] >= '0' && at[1] <= '3' && at[2] >= '0' && at[2] <= '7' && at[3] >= '0' &&
            at[3] <= '7') {
            character = (char)((at[1] - '0') << 6 | (at[2] - '0') << 3 | (at[3] - '0'));
            at += 3;
        }
        if (size + 1 >= room) return false;
        path[size++] = character;
    }
    path[size] = '\0';
    return true;
}
