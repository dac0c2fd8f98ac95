/* An attempt in a form: its fields, its record, its output, and the go that waits. */
#pragma once

#include "../core/attempts.h"
#include "layouts.h"

void write_attempt(struct form *form, const struct attempt *a);
/* Reads this record into the place that it had. 0, or -1 and the failure. */
int take_attempt(struct reading *reading, struct attempts *all);
