#pragma once

/*
 * Runs the program again from a sealed memfd, so that nobody can write what inits are made of (CVE-2019-5736). -1, told
 * on stderr, when that cannot be done.
 */
int seal_program(char **argv);
