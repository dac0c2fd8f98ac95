/* The console of a container: a request, a line of JSON, and its answer. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int console_socket(void) {
    const char *number = getenv("NORTHSTAR_CONSOLE");
    if (number == NULL) {
        fputs("NORTHSTAR_CONSOLE is not set: the manifest has no console\n", stderr);
        exit(EXIT_FAILURE);
    }
    return atoi(number);
}

/* The next line into `line`; ends the program when the console hangs up. */
static void hear(char *line, size_t size) {
    size_t length = 0;
    for (char byte; length + 1 < size && read(console_socket(), &byte, 1) == 1 && byte != '\n';) line[length++] = byte;
    line[length] = '\0';
    if (length > 0) return;
    fputs("the console hung up\n", stderr);
    exit(EXIT_FAILURE);
}

/* Sends a message, and waits for the answer. */
static void ask(const char *message, char *answer, size_t size) {
    dprintf(console_socket(), "%s\n", message);
    hear(answer, size);
}

static void say_hello(void) {
    char answer[256];
    ask("{\"connect\":{\"version\":\"0.9.2\",\"subscribe_notifications\":false}}", answer, sizeof answer);
    printf("%s\n", answer);
}
