/* System calls without a C library (syscall(2)), and the program's entry, for x86_64 and aarch64. */
#pragma once

#include <stddef.h>

/* Gives what the kernel gives: a value, or minus the errno. */
static long system_call(long nr, const long a[6]) {
#if defined(__x86_64__)
    register long r10 __asm__("r10") = a[3];
    register long r8 __asm__("r8") = a[4];
    register long r9 __asm__("r9") = a[5];
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(nr), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = nr;
    register long x0 __asm__("x0") = a[0];
    register long x1 __asm__("x1") = a[1];
    register long x2 __asm__("x2") = a[2];
    register long x3 __asm__("x3") = a[3];
    register long x4 __asm__("x4") = a[4];
    register long x5 __asm__("x5") = a[5];
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
#else
#error "no system call convention for this architecture"
#endif
}

/* Arguments that are not given are 0. */
#define CALL(nr, ...) system_call(nr, (const long[6]){__VA_ARGS__})

/* The stack as the kernel leaves it is the only argument of `enter`. */
#if defined(__x86_64__)
__asm__(".global _start\n_start: xor %ebp, %ebp\nmov %rsp, %rdi\nand $-16, %rsp\ncall enter\n");
#elif defined(__aarch64__)
__asm__(".global _start\n_start: mov x29, 0\nmov x0, sp\nb enter\n");
#endif

/* What compilers call for by themselves (gcc(1), -ffreestanding). */
void *memset(void *memory, int byte, size_t size) {
    volatile char *at = memory;
    while (size--) *at++ = (char)byte;
    return memory;
}
