/* What a copier may do: the rights over files, and the system calls of a copy. */
#define _GNU_SOURCE
#include "copier.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RIGHT(capability) (1U << (capability))

/* CAP_SYS_ADMIN reads and sets trusted.* attributes; the filter leaves it nothing else. */
static const uint32_t rights = RIGHT(CAP_CHOWN) | RIGHT(CAP_DAC_OVERRIDE) | RIGHT(CAP_DAC_READ_SEARCH) |
                               RIGHT(CAP_FOWNER) | RIGHT(CAP_FSETID) | RIGHT(CAP_MKNOD) | RIGHT(CAP_SYS_ADMIN) |
                               RIGHT(CAP_SETFCAP);

static int drop_capabilities(void) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[2];
    if (syscall(SYS_capget, &header, sets) != 0) return -1;
    const uint32_t kept = sets[0].permitted & rights; /* all of them are in the first word */
    const struct __user_cap_data_struct only[2] = {{.permitted = kept, .effective = kept}};
    return (int)syscall(SYS_capset, &header, only);
}

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#error "the filter is for x86_64 and aarch64"
#endif

static const int calls[] = {
    SYS_read,         SYS_write,     SYS_pread64,         SYS_pwrite64,
    SYS_lseek,        SYS_close,     SYS_openat,          SYS_openat2,
    SYS_newfstatat,   SYS_fstat,     SYS_statx,           SYS_getdents64,
    SYS_fcntl,        SYS_ioctl,     SYS_ftruncate,       SYS_copy_file_range,
    SYS_mkdirat,      SYS_mknodat,   SYS_symlinkat,       SYS_linkat,
    SYS_readlinkat,   SYS_fchownat,  SYS_fchmodat,        SYS_utimensat,
    SYS_llistxattr,   SYS_lgetxattr, SYS_lsetxattr,       SYS_syncfs,
    SYS_brk,          SYS_mmap,      SYS_munmap,          SYS_mremap,
    SYS_madvise,      SYS_getrandom, SYS_futex,           SYS_rt_sigprocmask,
    SYS_rt_sigreturn, SYS_getppid,   SYS_restart_syscall, SYS_exit,
    SYS_exit_group,
};

/* As sanitizers do. */
#ifdef __SANITIZE_ADDRESS__
static const bool makes_calls_of_its_own = true;
#else
static const bool makes_calls_of_its_own = false;
#endif

#define COUNT (sizeof calls / sizeof *calls)

static int filter_calls(void) {
    struct sock_filter program[COUNT + 6];
    size_t n = 0;
    program[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0);
    program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    program[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < COUNT; i++)
        program[n++] =
            (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)calls[i], (uint8_t)(COUNT - i), 0);
    program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog filter = {.len = (unsigned short)n, .filter = program};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}

int confine_copier(void) {
    /* Two for each directory on the way down. */
    struct rlimit files = {.rlim_cur = 1024, .rlim_max = 1024}, core = {0};
    if (setrlimit(RLIMIT_NOFILE, &files) != 0 || setrlimit(RLIMIT_CORE, &core) != 0) return -1;
    if (drop_capabilities() != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -1;
    /* Set last: a change of ids or capabilities clears it. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return -1;
    return makes_calls_of_its_own ? 0 : filter_calls();
}
