/* Descriptors that are handed over: their numbers stay, and each is found again by what it is (fstat(2)). */
#pragma once

#include <stdint.h>

struct identity {
    uint64_t device;
    uint64_t inode;
    uint32_t mode;
};

/* Bytes of one in the form: its number and what it is. */
enum { DESCRIPTOR_SIZE = 24 };

/* 0, or -1 and errno. */
int descriptor_identify(int fd, struct identity *is);
/*
 * It is there, it is that one, and nobody has claimed it yet; from now on it is close-on-exec again. 0, or -1 and
 * errno: EBADF, ESTALE (another one), EEXIST.
 */
int descriptor_claim(int fd, const struct identity *is);
/* Closes every descriptor from 3 on that was not claimed, nor is `kept` (-1: none more). */
void descriptors_close_unclaimed(int kept);
