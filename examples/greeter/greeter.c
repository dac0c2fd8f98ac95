/* Prints the file of the resource that is mounted on /greeting, then waits. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(void) {
    char line[256];
    FILE *file = fopen("/greeting/greeting.txt", "re");
    if (file == NULL) {
        perror("/greeting/greeting.txt");
        return EXIT_FAILURE;
    }
    while (fgets(line, sizeof line, file) != NULL) fputs(line, stdout);
    fclose(file);
    fflush(stdout);
    pause();
}
