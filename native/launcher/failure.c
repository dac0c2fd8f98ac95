#include <stdarg.h>
#include <stdio.h>

#include "failure.h"

int fail(struct failure *why, uint16_t step, int error, const char *format, ...) {
    va_list arguments;
    why->step = step;
    why->error = error;
    va_start(arguments, format);
    vsnprintf(why->subject, sizeof why->subject, format, arguments);
    va_end(arguments);
    return -1;
}
