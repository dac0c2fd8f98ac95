/* Capability sets of the calling thread (capabilities(7)). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ops.h"

/* Whether a capability is in the permitted set. */
bool has_capability(unsigned capability);

/* Leaves one capability in the permitted and effective sets, none in the inheritable one. 0, or -1 and errno. */
int keep_capability(unsigned capability);

/* Takes every capability but those in `keep` out of the bounding set; one that is gone already is no failure. */
int drop_bounding(uint64_t keep, struct failure *why);

/* Sets what CAPABILITIES asks for, the bounding set excepted. A right that the launcher lacks itself is a failure. */
int set_capabilities(const struct op_capabilities *asked, struct failure *why);
