#pragma once

#include <stdbool.h>

/* Whether nobody can change what is in this file any more, be it only in size. */
bool is_sealed(int fd);

/*
 * Runs the program again from a sealed memfd, so that nobody can write what inits are made of (CVE-2019-5736). -1, told
 * on stderr, when that cannot be done.
 */
int seal_program(char **argv);
