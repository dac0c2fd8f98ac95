// System calls from number 424 on, which is the same on every architecture since then: what the host's libseccomp knows of
// them is as old as that library. From the tables of Linux 6.17 (scripts/syscall.tbl).

const first = 424;

const names = `
  pidfd_send_signal io_uring_setup io_uring_enter io_uring_register open_tree move_mount fsopen fsconfig fsmount fspick
  pidfd_open clone3 close_range openat2 pidfd_getfd faccessat2 process_madvise epoll_pwait2 mount_setattr quotactl_fd
  landlock_create_ruleset landlock_add_rule landlock_restrict_self memfd_secret process_mrelease futex_waitv
  set_mempolicy_home_node cachestat fchmodat2 map_shadow_stack futex_wake futex_wait futex_requeue statmount listmount
  lsm_get_self_attr lsm_set_self_attr lsm_list_modules mseal setxattrat getxattrat listxattrat removexattrat
  open_tree_attr file_getattr file_setattr
`;

/** The number of each (syscalls(2)), by name. */
export const newerCalls: ReadonlyMap<string, number> = new Map(
  names
    .trim()
    .split(/\s+/)
    .map((name, index) => [name, first + index]),
);
