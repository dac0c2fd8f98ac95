#define _GNU_SOURCE
#include "say.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "streams.h"

void say(const char *format, ...) {
    static const char NAME[] = "northstate: ";
    enum { LINE = 1024 };
    char line[sizeof NAME + LINE];
    memcpy(line, NAME, sizeof NAME);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line + sizeof NAME - 1, LINE, format, arguments);
    va_end(arguments);
    size_t size = strlen(line);
    line[size] = '\n';
    stream_try(STDERR_FILENO, line, size + 1);
}
