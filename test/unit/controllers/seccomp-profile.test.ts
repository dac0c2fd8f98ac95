import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seccompRules } from '../../../controllers/seccomp-profile.ts';
import type { Capability, SeccompRule } from '../../../state/manifest.ts';

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
  ['CAP_SYS_ADMIN', ['mount', 'umount2', 'setns', 'unshare', 'bpf', 'clone', 'syslog']],
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
