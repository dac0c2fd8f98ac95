/* Reads a mount table from standard input and writes what was understood, a mount in a line. */
#define _GNU_SOURCE
#include "../../../../native/launcher/core/mount-table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(void) {
    FILE *file = tmpfile();
    if (file == NULL) return EXIT_FAILURE;
    for (int byte = getchar(); byte != EOF; byte = getchar()) putc(byte, file);
    if (fflush(file) != 0) return EXIT_FAILURE;
    char *text = read_mount_table(fileno(file));
    if (text == NULL) return EXIT_FAILURE;
    const char *at = text;
    struct mount_line line, first = {0};
    while (next_mount(&at, &line)) {
        char path[4096], short_path[4];
        if (!mount_path(line.path, path, sizeof path)) return EXIT_FAILURE;
        bool fits = mount_path(line.path, short_path, sizeof short_path);
        if (first.id == NULL) first = line;
        printf("%d %.*s \"%s\"%s%s%s\n", atoi(line.id), (int)strcspn(line.device, " "), line.device, path,
               line.shared ? " shared" : "", fits ? " short" : "",
               same_word(line.device, first.device) ? " as the first" : "");
    }
    free_mount_table(text);
    fclose(file);
    return EXIT_SUCCESS;
}
