/* Computes without end; prints how much processor time a second of the wall clock was worth. */
#include <stdio.h>
#include <time.h>

static double seconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(void) {
    double wall = seconds(CLOCK_MONOTONIC);
    double processor = seconds(CLOCK_PROCESS_CPUTIME_ID);
    for (;;) {
        double now = seconds(CLOCK_MONOTONIC);
        if (now - wall < 1) continue;
        double used = seconds(CLOCK_PROCESS_CPUTIME_ID);
        printf("%.0f %% of a processor\n", (used - processor) / (now - wall) * 100);
        fflush(stdout);
        wall = now;
        processor = used;
    }
}
