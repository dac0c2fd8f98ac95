/* The SELinux context of the application. */
#pragma once

#include "ops.h"

/*
 * Opens a proc of this PID namespace for LABEL, mounted nowhere, -1 when the list has none. The new root may have none,
 * and one that it has is not to be trusted: a container's own.
 */
int open_proc(const struct ops *prepare, int *proc, struct failure *why);
