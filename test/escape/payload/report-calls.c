/*
 * Which system calls the filters let in. Nothing is really called: a filter of our own, the weakest that there is,
 * takes what the others have let through (seccomp(2): the strongest answer of all filters counts). A call that is
 * refused kills.
 */
#define _GNU_SOURCE
#include "hostile.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* {number, "name"}, of all that the headers know: made from them (payload.ts). */
static const struct {
    long number;
    const char *name;
} calls[] = {
#include "calls.inc"
};

enum { CALLS = sizeof calls / sizeof *calls, OURS = 0x5ca1ab1e, X32 = 0x40000000, BEYOND = 600 };

/* With no argument and with every bit of the first five set; the sixth is how our filter knows the call. */
static const long arguments[] = {0, -1};
enum { PATTERNS = 2 };

/* Shared with the child that tries, which may not come back. */
static struct progress {
    int at;
    unsigned char allowed[CALLS + 1][PATTERNS];
} *progress;

static void take_ours(void) {
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[5])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OURS, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE), /* no tracer: the call is left out */
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof filter / sizeof *filter, .filter = filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        _exit(1);
}

static long number_of(int index) { return index < CALLS ? calls[index].number : BEYOND; }

static void try_rest(void *unused) {
    (void)unused;
    take_ours();
    for (; progress->at < (CALLS + 1) * PATTERNS; progress->at++) {
        int index = progress->at / PATTERNS, pattern = progress->at % PATTERNS;
        long value = arguments[pattern];
        syscall(number_of(index), value, value, value, value, value, OURS);
        progress->allowed[index][pattern] = 1;
    }
}

static int is_refused(int status) { return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS; }

static void call_clone3(void *unused) {
    (void)unused;
    /* A structure of no size is EINVAL to the kernel. */
    tell("call clone3 in truth", syscall(SYS_clone3, NULL, 0L));
}

#if defined(__x86_64__)
static void call_i386(void *unused) {
    (void)unused;
    enum { GETPID = 20 };
    long result = GETPID;
    __asm__ volatile("int $0x80" : "+a"(result) : : "memory");
}

static void call_x32(void *unused) {
    (void)unused;
    syscall(X32 | SYS_getpid);
}

static void report_other_conventions(void) {
    printf("calls of i386: %s\n", is_refused(in_child(call_i386, NULL)) ? "refused" : "not filtered");
    printf("calls of x32: %s\n", is_refused(in_child(call_x32, NULL)) ? "refused" : "not filtered");
}
#else
static void report_other_conventions(void) {}
#endif

void report_calls(void) {
    size_t size = sizeof *progress;
    progress = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (progress == MAP_FAILED) return;
    while (progress->at < (CALLS + 1) * PATTERNS && is_refused(in_child(try_rest, NULL))) progress->at++;
    for (int index = 0; index <= CALLS; index++) {
        int none = progress->allowed[index][0], all = progress->allowed[index][1];
        const char *name = index < CALLS ? calls[index].name : "unknown-to-all";
        if (none || all)
            printf("call %s%s\n", name, none && all ? "" : none ? " without arguments" : " with arguments");
    }
    in_child(call_clone3, NULL);
    report_other_conventions();
}
