// The kernel itself: its version, system calls and namespaces.
import { existsSync } from 'node:fs';
import { release } from 'node:os';
import { createMemoryFile, isSealed, sealMemoryFile } from '../../native/memfd.ts';
import { hasSyscall, type SyscallName } from '../../native/syscalls.ts';
import { closeSync, constants, openSync } from 'node:fs';
import { SyscallError } from '../../native/libc.ts';
import { openWithin } from '../../native/openat2.ts';
import { presence, type Feature } from './feature.ts';

/** Each with the version that brought it; mount_setattr has a fallback. */
const calls: readonly (readonly [SyscallName, string, required: boolean])[] = [
  ['statx', '4.11', true],
  ['memfd_create', '3.17', true],
  ['execveat', '3.19', true],
  ['seccomp', '3.17', true],
  ['open_tree', '5.2', true],
  ['move_mount', '5.2', true],
  ['fsopen', '5.2', true],
  ['fsconfig', '5.2', true],
  ['fsmount', '5.2', true],
  ['pidfd_send_signal', '5.1', true],
  ['pidfd_open', '5.3', true],
  ['clone3', '5.3', true],
  ['close_range', '5.9', true],
  ['mount_setattr', '5.12', false],
];

const namespaces = [
  ['mnt', 'mount', null],
  ['pid', 'process ids', 'CONFIG_PID_NS'],
  ['net', 'network', 'CONFIG_NET_NS'],
  ['ipc', 'inter-process communication', 'CONFIG_IPC_NS'],
  ['uts', 'host name', 'CONFIG_UTS_NS'],
  ['cgroup', 'control groups', 'CONFIG_CGROUPS'],
] as const;

export function kernelFeatures(): Feature[] {
  return [version(), ...calls.map(systemCall), resolution(), sealing(), ...namespaces.map(namespace)];
}

function version(): Feature {
  const [major = 0, minor = 0] = release()
    .split('.')
    .map((part) => Number.parseInt(part, 10));
  const isNewEnough = major > 5 || (major === 5 && minor >= 10);
  return {
    ...{ group: 'kernel', name: 'Linux 5.10 or newer', required: true, presence: presence(isNewEnough) },
    ...{ detail: `Linux ${release()}`, enable: 'a newer kernel' },
  };
}

function systemCall([name, since, required]: (typeof calls)[number]): Feature {
  const isThere = hasSyscall(name);
  const without = required ? 'needed for every start' : 'without it mounts are remounted one by one';
  return {
    ...{ group: 'kernel', name, required, presence: presence(isThere), detail: isThere ? '' : without },
    enable: `Linux ${since}, and no seccomp filter around us that forbids it`,
  };
}

/** openat2(2) not only exists but keeps a path below its root. */
function resolution(): Feature {
  const root = openSync('/', constants.O_RDONLY | constants.O_DIRECTORY);
  const common = {
    group: 'kernel',
    name: 'openat2',
    required: true,
    enable: 'Linux 5.6, and no seccomp filter around us that forbids it',
  } as const;
  try {
    closeSync(openWithin(root, '../..', '/'));
    return { ...common, presence: 'present', detail: '' };
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    return { ...common, presence: 'absent', detail: `paths in images cannot be resolved: ${error.code}` };
  } finally {
    closeSync(root);
  }
}

function sealing(): Feature {
  const common = {
    group: 'kernel',
    name: 'sealed memory files',
    required: true,
    enable: 'CONFIG_MEMFD_CREATE, CONFIG_SHMEM',
  } as const;
  try {
    const fd = createMemoryFile('northstate-check');
    try {
      sealMemoryFile(fd);
      return { ...common, presence: presence(isSealed(fd)), detail: '' };
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    return { ...common, presence: 'absent', detail: `the launcher cannot be sealed: ${error.message}` };
  }
}

function namespace([name, what, option]: (typeof namespaces)[number]): Feature {
  return {
    ...{
      group: 'kernel',
      name: `${name} namespaces`,
      required: true,
      presence: presence(existsSync(`/proc/self/ns/${name}`)),
    },
    ...{ detail: what, enable: option },
  };
}
