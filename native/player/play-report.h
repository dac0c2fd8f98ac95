/* What was played and what was left, for the reconciler: JSON in a file in memory that the launcher keeps. */
#pragma once

#include "link.h"
#include "template.h"

struct report {
    char *text;
    size_t size;
    size_t room;
};

/* One line of it: a name, why it was left (NULL: it was played), and whether it runs now. */
void report_unit(struct report *report, struct span name, const char *why, bool started);
/* Has the launcher keep it. `refused`: why nothing was played, NULL. */
void report_keep(struct report *report, struct link *link, const char *refused, uint64_t began_ns, uint64_t ended_ns);
