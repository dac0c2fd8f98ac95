/* Works for a second, then fails. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(void) {
    puts("working");
    fflush(stdout);
    sleep(1);
    fputs("something is wrong\n", stderr);
    return EXIT_FAILURE;
}
