/* The pipes of an attempt. */
#pragma once

#include "launcher.h"

/* Reads at most `limit` bytes of a stream (0, 1) into the ring. */
void handle_output(struct launcher *l, struct attempt *a, int stream, uint32_t limit);
void output_close(struct launcher *l, struct attempt *a, int stream);
