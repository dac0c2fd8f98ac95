#pragma once

#include "launcher.h"

enum handled { HANDLED, HANDLED_STOP /* R_STOP */, HANDLED_MALFORMED };

/* Does one frame of the reconciler and queues its answer, unless that comes later. */
enum handled handle_request(struct launcher *l, struct frame *frame);
