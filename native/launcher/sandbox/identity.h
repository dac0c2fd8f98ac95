/* Who the application is: ids and capabilities. */
#pragma once

#include "ops.h"

/* Becomes the user, group and groups of IDS. The capabilities go with uid 0 unless PR_SET_KEEPCAPS is set. */
int change_ids(const struct op_ids *ids, struct failure *why);

/* Does IDS and CAPABILITIES of the prepare list. */
int change_identity(const struct ops *prepare, struct failure *why);
