/* Over the console that the runtime hands to a container (NORTHSTAR_CONSOLE). */
#define _GNU_SOURCE
#include "hostile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int console(void) {
    const char *number = getenv("NORTHSTAR_CONSOLE");
    return number != NULL ? atoi(number) : -1;
}

static void say(const char *line) {
    if (write(console(), line, strlen(line)) < 0 || write(console(), "\n", 1) < 0) tell("write", -1);
}

/* Prints the next line, or that there will be none. */
static int hear(void) {
    char byte, line[4096];
    size_t size = 0;
    while (size < sizeof line - 1 && read(console(), &byte, 1) == 1 && byte != '\n') line[size++] = byte;
    line[size] = '\0';
    puts(size > 0 ? line : "hung up");
    return size > 0;
}

/* speak LINE...: says each line and waits for the answer. */
static void speak(char **arguments) {
    for (char **line = arguments; *line != NULL; line++) {
        say(*line);
        if (!hear()) return;
    }
}

/* stall LINE...: the same, then sends a few bytes of what the last line has announced, and no more. */
static void stall(char **arguments) {
    for (char **line = arguments; *line != NULL; line++) {
        say(*line);
        if (line[1] != NULL) hear();
    }
    say("a few bytes");
    puts("stalled");
    fflush(stdout);
    alarm(0);
    for (;;) pause();
}

/* babble: bytes that are no message, until the runtime has had enough. */
static void babble(char **arguments) {
    (void)arguments;
    static unsigned char noise[4096];
    for (size_t i = 0; i < sizeof noise; i++) noise[i] = (unsigned char)(i * 2654435761u >> 9);
    if (write(console(), noise, sizeof noise) < 0) tell("write", -1);
    while (hear()) continue;
}

const struct named_act console_acts[] = {
    {"speak", speak},
    {"stall", stall},
    {"babble", babble},
    {NULL, NULL},
};
