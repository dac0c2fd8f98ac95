/* Takes memory, each time twice as much as before, until its control group stops it. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

/*
 * The kernel fills the memory in one go. Were it touched from here, page by page, the kernel would near the limit throw
 * out this program's code for each page and read it again, rather than find that memory has run out.
 */
static void *take(size_t size) {
    return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
}

int main(void) {
    const struct timespec pause = {.tv_nsec = 200000000};
    for (size_t mebibytes = 1; take(mebibytes << 20) != MAP_FAILED; mebibytes *= 2) {
        printf("%zu MiB more\n", mebibytes);
        fflush(stdout);
        nanosleep(&pause, NULL);
    }
    return EXIT_FAILURE;
}
