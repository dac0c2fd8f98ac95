// The default seccomp profile, by Docker's list (moby v20.10.24, profiles/seccomp/default.json), and what a manifest allows
// beside it. Pure.
import type { Beside } from '../../native/seccomp-filter.ts';
import type { Capability, Manifest, SeccompCondition } from '../../state/schema/manifest.ts';
import type { ArgumentTest, FilterRule } from '../../native/seccomp-rules.ts';

const ENOSYS = 38;
/** Every CLONE_NEW* but CLONE_NEWTIME, which clone(2) does not take. */
const namespaceFlags = 0x7e020000n;

/** Let in for everybody; the last lines are of one architecture each. */
const always = `
  accept accept4 access adjtimex alarm bind brk capget capset chdir chmod chown chown32 clock_adjtime clock_adjtime64
  clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64 close
  close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old
  epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit exit_group faccessat
  faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchown fchown32 fchownat fcntl
  fcntl64 fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64
  fsync ftruncate ftruncate64 futex futex_time64 futex_waitv futimesat get_robust_list get_thread_area getcpu getcwd
  getdents getdents64 getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getitimer getpeername
  getpgid getpgrp getpid getppid getpriority getrandom getresgid getresgid32 getresuid getresuid32 getrlimit getrusage
  getsid getsockname getsockopt gettid gettimeofday getuid getuid32 getxattr inotify_add_watch inotify_init
  inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup
  io_submit io_uring_enter io_uring_register io_uring_setup ioctl ioprio_get ioprio_set ipc kill landlock_add_rule
  landlock_create_ruleset landlock_restrict_self lchown lchown32 lgetxattr link linkat listen listxattr llistxattr
  _llseek lremovexattr lseek lsetxattr lstat lstat64 madvise membarrier memfd_create memfd_secret mincore mkdir mkdirat
  mknod mknodat mlock mlock2 mlockall mmap mmap2 mprotect mq_getsetattr mq_notify mq_open mq_timedreceive
  mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink mremap msgctl msgget msgrcv msgsnd msync munlock
  munlockall munmap nanosleep newfstatat _newselect open openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2
  poll ppoll ppoll_time64 prctl pread64 preadv preadv2 prlimit64 process_mrelease pselect6 pselect6_time64 ptrace
  pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recv recvfrom recvmmsg recvmmsg_time64 recvmsg
  remap_file_pages removexattr rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending
  rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo
  sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler
  sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler
  sched_yield seccomp select semctl semget semop semtimedop semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg
  sendto set_robust_list set_thread_area set_tid_address setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32
  setgroups setgroups32 setitimer setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid setresuid32
  setreuid setreuid32 setrlimit setsid setsockopt setuid setuid32 setxattr shmat shmctl shmdt shmget shutdown
  sigaltstack signalfd signalfd4 sigprocmask sigreturn socket socketcall socketpair splice stat stat64 statfs statfs64
  statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete
  timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime
  timerfd_gettime64 timerfd_settime timerfd_settime64 times tkill truncate truncate64 ugetrlimit umask uname unlink
  unlinkat utime utimensat utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid write writev

  arch_prctl modify_ldt
  arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls
`;

/**
 * The newest call that the profile knows of, let in or not: what came later does not exist for a container (ENOSYS), unless its
 * manifest allows it, so that C libraries which try it first take an older one. They are killed for calls up to this one.
 */
export const newestOfProfile = 'futex_waitv';

/** Let in for those that have the capability. */
const withCapability: Partial<Record<Capability, string>> = {
  CAP_DAC_READ_SEARCH: 'open_by_handle_at',
  CAP_SYS_ADMIN: `
    bpf clone fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr move_mount name_to_handle_at
    open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare`,
  CAP_SYS_BOOT: 'reboot',
  CAP_SYS_CHROOT: 'chroot',
  CAP_SYS_MODULE: 'delete_module init_module finit_module',
  CAP_SYS_PACCT: 'acct',
  CAP_SYS_PTRACE: 'kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace',
  CAP_SYS_RAWIO: 'iopl ioperm',
  CAP_SYS_TIME: 'settimeofday stime clock_settime',
  CAP_SYS_TTY_CONFIG: 'vhangup',
  CAP_SYS_NICE: 'get_mempolicy mbind set_mempolicy',
  CAP_SYSLOG: 'syslog',
};

/** Values of personality(2): PER_LINUX, PER_LINUX32, UNAME26, both, and 0xffffffff, which only asks. */
const personalities = [0n, 8n, 0x20000n, 0x20008n, 0xffffffffn];

/** What becomes of each call, by name; calls that are not in it kill the process. */
export function seccompRules(
  seccomp: NonNullable<Manifest['seccomp']>,
  capabilities: readonly Capability[],
): ReadonlyMap<string, FilterRule> {
  const rules = new Map<string, FilterRule>();
  if (seccomp.profile === 'default') addProfile(rules, capabilities);
  // The exec that starts the application goes through its own filter.
  else rules.set('execve', 'any');
  for (const [name, rule] of seccomp.allow ?? []) {
    allow(rules, name, rule === 'any' ? 'any' : [rule.args].flat().flatMap(testsOf));
  }
  return rules;
}

/** What becomes of calls that are newer than the profile. */
export function besideProfile({ profile }: NonNullable<Manifest['seccomp']>): Beside {
  return profile === undefined ? {} : { newest: newestOfProfile };
}

function addProfile(rules: Map<string, FilterRule>, capabilities: readonly Capability[]): void {
  for (const name of words(always)) rules.set(name, 'any');
  rules.set('personality', { anyOf: personalities.map((value) => ({ index: 0, value })) });
  rules.set('clone', { anyOf: [{ index: 0, mask: BigInt.asUintN(64, ~namespaceFlags) }] });
  // Its flags lie in memory, which a filter cannot look at; C libraries fall back to clone on this errno and on no other.
  rules.set('clone3', { errno: ENOSYS });
  for (const capability of capabilities) {
    for (const name of words(withCapability[capability] ?? '')) rules.set(name, 'any');
  }
}

/** Adds to what is let in already. */
function allow(rules: Map<string, FilterRule>, name: string, tests: 'any' | readonly ArgumentTest[]): void {
  const present = rules.get(name);
  if (present === 'any') return;
  const others = present !== undefined && 'anyOf' in present ? present.anyOf : [];
  rules.set(name, tests === 'any' ? 'any' : { anyOf: [...others, ...tests] });
}

function testsOf({ index, values, mask }: SeccompCondition): ArgumentTest[] {
  const tests: ArgumentTest[] = (values ?? []).map((value) => ({ index, value }));
  return mask === undefined ? tests : [...tests, { index, mask }];
}

function words(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== '');
}
