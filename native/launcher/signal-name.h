/* Signals as people know them (signal(7)). */
#pragma once

#include <stdbool.h>

/* "SIGKILL"; "a real-time signal" for those that have a number alone. */
const char *signal_name(int number);

enum { END_TEXT = 32 };

/*
 * "exit code 3", in `space`, or the signal's name: how a process ended that exited with `value`, or was killed by it.
 */
const char *end_text(bool exited, int value, char space[END_TEXT]);
