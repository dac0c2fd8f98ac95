// What this process may do, and what filters and labels the kernel has: capabilities, seccomp, SELinux.
import { loadLibrary } from '../../native/libc.ts';
import { hasSelinux } from '../../native/selinux.ts';
import { capabilityNames } from '../../state/names.ts';
import { presence, type Feature } from './feature.ts';
import { textOf } from './kernel-config.ts';
import { messageOf } from '../../state/errno.ts';

/** Those that every start needs; CAP_SYS_RESOURCE and CAP_SYS_NICE only what a manifest asks for. */
const needed = ['CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'KILL', 'MKNOD', 'SETGID', 'SETPCAP', 'SETUID', 'SYS_ADMIN'];
const wanted = [
  ['SYS_PTRACE', 'nobody can get into a container that runs: exec, shell and cp are refused'],
  ['SYS_RESOURCE', 'rlimits above the hard limits of this process are refused'],
  ['SYS_NICE', 'real-time scheduling and negative nice values are refused'],
] as const;

export function rightFeatures(): Feature[] {
  const mask = BigInt(`0x${/^CapEff:\t(\w+)$/m.exec(textOf('/proc/self/status') ?? '')?.[1] ?? '0'}`);
  const has = (name: string): boolean => {
    const bit = capabilityNames.findIndex((each) => each === `CAP_${name}`);
    return ((mask >> BigInt(bit)) & 1n) === 1n;
  };
  const lacking = needed.filter((name) => !has(name));
  const ungranted = capabilityNames.filter((name) => !has(name.replace('CAP_', '')));
  return [
    {
      ...{ group: 'rights', name: 'capabilities of root', required: true, presence: presence(lacking.length === 0) },
      detail: lacking.length === 0 ? '' : `lacking: ${lacking.map((name) => `CAP_${name}`).join(' ')}`,
      enable: 'run as root, outside of a container that takes capabilities away',
    },
    ...wanted.map(([name, without]): Feature => ({
      ...{ group: 'rights', name: `CAP_${name}`, required: false, presence: presence(has(name)) },
      detail: has(name) ? '' : without,
      enable: 'run outside of a container that takes capabilities away',
    })),
    {
      ...{ group: 'rights', name: 'all capabilities', required: false, presence: presence(ungranted.length === 0) },
      detail: ungranted.length === 0 ? '' : `no container can be given ${ungranted.join(' ')}`,
      enable: 'run outside of a container that takes capabilities away',
    },
    {
      ...{ group: 'rights', name: 'SELinux', required: false, presence: presence(hasSelinux()) },
      detail: hasSelinux() ? modeOf() : 'the contexts of manifests are not used',
      enable: 'CONFIG_SECURITY_SELINUX, and selinux=1 on the kernel command line',
    },
    ...seccomp(),
  ];
}

function modeOf(): string {
  return textOf('/sys/fs/selinux/enforce')?.trim() === '1' ? 'enforcing' : 'permissive';
}

function seccomp(): Feature[] {
  const actions = (textOf('/proc/sys/kernel/seccomp/actions_avail') ?? '').trim().split(' ');
  const kills = actions.includes('kill_process');
  return [
    {
      ...{ group: 'seccomp', name: 'filters', required: true, presence: presence(kills) },
      ...{ detail: kills ? '' : 'containers with a profile cannot be confined', enable: 'CONFIG_SECCOMP_FILTER' },
    },
    library(),
  ];
}

function library(): Feature {
  const common = {
    group: 'seccomp',
    name: 'libseccomp',
    required: false,
    enable: 'apt-get install libseccomp2',
  } as const;
  try {
    loadLibrary('libseccomp.so.2');
    return { ...common, presence: 'present', detail: '' };
  } catch (error) {
    const detail = `containers with a seccomp section do not start: ${messageOf(error)}`;
    return { ...common, presence: 'absent', detail };
  }
}
