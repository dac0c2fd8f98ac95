// Whether this host has SELinux.
import { existsSync } from 'node:fs';

/** Whether the kernel knows SELinux contexts: selinuxfs is there, enforcing or not. */
export function hasSelinux(): boolean {
  return existsSync('/sys/fs/selinux/enforce');
}
