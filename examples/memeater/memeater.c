/* Takes a mebibyte ten times a second until its control group stops it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MEBIBYTE = 1 << 20 };

int main(void)
{
    const struct timespec pause = {.tv_nsec = 100000000};
    for (int eaten = 1;; eaten++) {
        char *memory = malloc(MEBIBYTE);
        if (!memory)
            return EXIT_FAILURE;
        memset(memory, eaten, MEBIBYTE);
        printf("%d MiB\n", eaten);
        fflush(stdout);
        nanosleep(&pause, NULL);
    }
}
