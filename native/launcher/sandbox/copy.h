/* A file of a container, copied with the rights of its application. */
#pragma once

#include "../failure.h"
#include "op.h"

/* Opens the file that is to be read or written: a regular one. Its descriptor, or -1 and the failure. */
int copy_open(const struct op_copy *copy, struct failure *why);

/* Copies it to descriptor 1, or what descriptor 0 brings into it. 0, or -1 and the failure. */
int copy_all(const struct op_copy *copy, int file, struct failure *why);
