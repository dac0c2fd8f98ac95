/* Says hello with its version, then waits for the signal that ends it. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(void) {
    const char *version = getenv("NORTHSTAR_VERSION");
    printf("hello from version %s\n", version != NULL ? version : "?");
    fflush(stdout);
    pause();
}
