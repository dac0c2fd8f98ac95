/*
 * Counts its starts in a file on its persistent directory. The new count is written beside the old one and then takes
 * its place, so that a power cut leaves either of them.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static long read_count(void) {
    long count = 0;
    FILE *file = fopen("/data/starts", "re");
    if (file == NULL) return 0;
    if (fscanf(file, "%ld", &count) != 1) count = 0;
    fclose(file);
    return count;
}

static int write_count(long count) {
    int fd = open("/data/starts.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || dprintf(fd, "%ld\n", count) < 0 || fsync(fd) < 0 || close(fd) < 0) return -1;
    return rename("/data/starts.new", "/data/starts");
}

int main(void) {
    long count = read_count() + 1;
    if (write_count(count) < 0) {
        perror("/data/starts");
        return EXIT_FAILURE;
    }
    printf("start number %ld\n", count);
    fflush(stdout);
    pause();
}
