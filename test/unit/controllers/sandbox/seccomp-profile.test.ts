import assert from 'node:assert/strict';
import { test } from 'node:test';
import { besideProfile, seccompRules } from '../../../../controllers/sandbox/seccomp-profile.ts';
import { newerCalls } from '../../../../native/newer-calls.ts';
import { architectures, compileFor, isSyscall, type Architecture } from '../../../../native/seccomp-filter.ts';
import type { Capability, SeccompRule } from '../../../../state/schema/manifest.ts';
import { decide } from '../../native/bpf.ts';

function profile(capabilities: readonly Capability[], allow: Record<string, SeccompRule> = {}) {
  return seccompRules({ profile: 'default', allow: new Map(Object.entries(allow)) } as never, capabilities);
}

test('lets everyday calls in, with and without capabilities', () => {
  for (const rules of [profile([]), profile(['CAP_SYS_ADMIN', 'CAP_SYS_TIME'])]) {
    for (const name of ['read', 'write', 'execve', 'mmap', 'futex', 'socket', 'openat2', 'io_uring_setup', 'ptrace']) {
      assert.equal(rules.get(name), 'any', name);
    }
  }
});

test('leaves out what changes the host', () => {
  const rules = profile([]);
  for (const name of [
    'mount',
    'reboot',
    'init_module',
    'setns',
    'unshare',
    'bpf',
    'kexec_load',
    'swapon',
    'open_by_handle_at',
  ]) {
    assert.equal(rules.get(name), undefined, name);
  }
});

const widened: readonly (readonly [Capability, readonly string[]])[] = [
  ['CAP_DAC_READ_SEARCH', ['open_by_handle_at']],
  ['CAP_SYS_ADMIN', ['mount', 'umount2', 'setns', 'unshare', 'bpf', 'clone', 'syslog', 'mount_setattr']],
  ['CAP_SYS_BOOT', ['reboot']],
  ['CAP_SYS_CHROOT', ['chroot']],
  ['CAP_SYS_MODULE', ['init_module', 'finit_module', 'delete_module']],
  ['CAP_SYS_PACCT', ['acct']],
  ['CAP_SYS_PTRACE', ['kcmp', 'process_vm_readv', 'process_vm_writev']],
  ['CAP_SYS_RAWIO', ['iopl', 'ioperm']],
  ['CAP_SYS_TIME', ['settimeofday', 'clock_settime']],
  ['CAP_SYS_TTY_CONFIG', ['vhangup']],
  ['CAP_SYS_NICE', ['mbind', 'set_mempolicy']],
  ['CAP_SYSLOG', ['syslog']],
];

for (const [capability, names] of widened) {
  test(`widens for ${capability}, and for it alone`, () => {
    const without = profile([]);
    const others = profile(widened.map(([other]) => other).filter((other) => other !== capability));
    for (const name of names) {
      assert.equal(profile([capability]).get(name), 'any', name);
      assert.notEqual(without.get(name), 'any', name);
      if (name !== 'syslog') assert.notEqual(others.get(name), 'any', name);
    }
  });
}

test('ties nothing to CAP_NET_ADMIN (ESR-01 013)', () => {
  assert.deepEqual(profile(['CAP_NET_ADMIN']), profile([]));
});

test('lets clone make threads and processes for everybody, and namespaces for CAP_SYS_ADMIN only', () => {
  const mask = BigInt.asUintN(64, ~0x7e020000n);
  assert.deepEqual(profile([]).get('clone'), { anyOf: [{ index: 0, mask }] });
  assert.deepEqual(profile(['CAP_CHOWN']).get('clone'), { anyOf: [{ index: 0, mask }] });
  assert.equal(profile(['CAP_SYS_ADMIN']).get('clone'), 'any');
});

test('answers clone3 with ENOSYS, whatever the capabilities are', () => {
  assert.deepEqual(profile([]).get('clone3'), { errno: 38 });
  assert.deepEqual(profile(['CAP_SYS_ADMIN']).get('clone3'), { errno: 38 });
});

test('lets the manifest allow more than the profile', () => {
  const rules = profile([], {
    clone3: 'any',
    reboot: { args: { index: 2, values: [1n, 2n], mask: 4n } },
    personality: { args: { index: 0, values: [99n] } },
    read: { args: { index: 0, values: [1n] } },
  });
  assert.equal(rules.get('clone3'), 'any');
  assert.deepEqual(rules.get('reboot'), {
    anyOf: [
      { index: 2, value: 1n },
      { index: 2, value: 2n },
      { index: 2, mask: 4n },
    ],
  });
  assert.deepEqual(rules.get('personality'), {
    anyOf: [...[0n, 8n, 0x20000n, 0x20008n, 0xffffffffn, 99n].map((value) => ({ index: 0, value }))],
  });
  assert.equal(rules.get('read'), 'any');
});

test('takes several conditions on one call for alternatives', () => {
  const rules = profile([], {
    fsopen: {
      args: [
        { index: 0, mask: 1n },
        { index: 1, mask: 2n },
      ],
    },
  });
  assert.deepEqual(rules.get('fsopen'), {
    anyOf: [
      { index: 0, mask: 1n },
      { index: 1, mask: 2n },
    ],
  });
});

test('lets in nothing for an empty list of values', () => {
  assert.deepEqual(profile([], { fsopen: { args: { index: 0, values: [] } } }).get('fsopen'), { anyOf: [] });
});

test('without the profile lets in what is allowed, and the exec of the start', () => {
  const rules = seccompRules({ allow: new Map([['write', 'any' as const]]) }, ['CAP_SYS_ADMIN']);
  assert.deepEqual([...rules.keys()].sort(), ['execve', 'write']);
});

/** Numbers of calls (syscalls(2)). */
const machines = {
  x86_64: {
    arch: 0xc000003e,
    open: 2,
    openat: 257,
    clone: 56,
    clone3: 435,
    reboot: 169,
    unshare: 272,
    ptrace: 101,
    personality: 135,
  },
  aarch64: {
    arch: 0xc00000b7,
    open: null,
    openat: 56,
    clone: 220,
    clone3: 435,
    reboot: 142,
    unshare: 97,
    ptrace: 117,
    personality: 92,
  },
} as const satisfies Record<Architecture, unknown>;
const ALLOW = 0x7fff0000;
const ENOSYS = 0x00050000 + 38;
const KILL_PROCESS = 0x80000000;
const CLONE_THREAD = 0x10000n;
const CLONE_NEWUSER = 0x10000000n;

for (const architecture of architectures) {
  const { arch, open, openat, clone, clone3, reboot, unshare, ptrace, personality } = machines[architecture];

  test(`the compiled profile decides as its rules say on ${architecture}`, () => {
    const filter = compileFor(architecture, profile([]));
    const says = (number: number, ...args: bigint[]) => decide(filter, { number, arch, args });
    assert.deepEqual(
      [openat, ptrace].map((number) => says(number)),
      [ALLOW, ALLOW],
    );
    if (open !== null) assert.equal(says(open), ALLOW);
    assert.deepEqual(
      [reboot, unshare].map((number) => says(number)),
      [KILL_PROCESS, KILL_PROCESS],
    );
    assert.equal(says(clone, CLONE_THREAD), ALLOW);
    assert.equal(says(clone, CLONE_THREAD | CLONE_NEWUSER), KILL_PROCESS);
    assert.equal(says(clone3), ENOSYS);
    assert.deepEqual(
      [0n, 8n, 0xffffffffn, 4n].map((value) => says(personality, value)),
      [ALLOW, ALLOW, ALLOW, KILL_PROCESS],
    );
  });

  test(`the compiled profile is wider with capabilities on ${architecture}`, () => {
    const filter = compileFor(architecture, profile(['CAP_SYS_ADMIN', 'CAP_SYS_BOOT']));
    const says = (number: number, ...args: bigint[]) => decide(filter, { number, arch, args });
    assert.deepEqual(
      [says(reboot), says(unshare), says(clone, CLONE_NEWUSER), says(clone3)],
      [ALLOW, ALLOW, ALLOW, ENOSYS],
    );
  });
}

test('no call of the profile is newer than the newest that it names', () => {
  const all = profile(widened.map(([capability]) => capability));
  const highest = Math.max(...[...all.keys()].map((name) => newerCalls.get(name) ?? 0));
  assert.equal(highest, newerCalls.get(besideProfile({ profile: 'default' }).newest ?? ''));
  assert.deepEqual(besideProfile({ allow: new Map() }), {});
});

test('every name of the profile is a system call of some architecture', () => {
  const all = profile(widened.map(([capability]) => capability));
  assert.deepEqual(
    [...all.keys()].filter((name) => !isSyscall(name)),
    [],
  );
});
