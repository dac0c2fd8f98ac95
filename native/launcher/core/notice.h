/* What a container says of itself, one datagram of sd_notify(3). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NOTICE_LIMIT = 4096, NOTICE_STATUS = 128 };

struct notice {
    bool ready;
    bool stopping;
    bool reloading;
    bool alive;         /* WATCHDOG=1 */
    bool fails;         /* WATCHDOG=trigger */
    uint64_t extend_ms; /* EXTEND_TIMEOUT_USEC, 0: not said */
    bool has_status;
    char status[NOTICE_STATUS]; /* cut when it is longer, without control characters */
};

/* Reads `size` bytes, lines of NAME=value; what is not known is passed over. */
void notice_parse(const char *text, size_t size, struct notice *notice);
