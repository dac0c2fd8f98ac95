import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Manifest } from '../../../../state/schema/manifest.ts';
import { readManifest, type ReadManifest } from '../../../../src/npk/manifest/read-manifest.ts';

const base = 'name: a\nversion: 1.0.0\nuid: 1\ngid: 1\ninit: /a\n';
const seccompNote = 'seccomp: system calls stand below allow, with any or !args instead of an expression';

async function read(text: string, old = false): Promise<ReadManifest> {
  return readManifest(Buffer.from(base + text), { old });
}

// The older form, today's, and what is said about it.
const forms: [string, Partial<Manifest>, string][] = [
  ['autostart: true', { autostart: 'relaxed' }, 'autostart: true is autostart: relaxed'],
  ['autostart: false', {}, 'autostart: true is autostart: relaxed'],
  [
    'capabilities: [cap_net_raw, CAP_KILL]',
    { capabilities: ['CAP_NET_RAW', 'CAP_KILL'] },
    'capabilities are written in capitals',
  ],
  [
    'io: { stdout: { log: [DEBUG, x] } }',
    { io: { stdout: 'pipe', stderr: 'discard' } },
    'io: log is pipe, which has no level and no tag of its own',
  ],
  [
    'mounts: { /lib: { host: /lib } }',
    { mounts: new Map([['/lib', { type: 'bind', host: '/lib' }]]) },
    'mounts: a mount says its type (host)',
  ],
  [
    'mounts: { /t: { host: /t, flags: [rw] } }',
    { mounts: new Map([['/t', { type: 'bind', host: '/t', options: ['rw'] }]]) },
    'mounts: a mount says its type (host)',
  ],
  [
    'mounts: { /t: { tmpfs: 20m } }',
    { mounts: new Map([['/t', { type: 'tmpfs', size: 20 * 1024 * 1024 }]]) },
    'mounts: a mount says its type (tmpfs)',
  ],
  [
    'mounts: { /d: persist }',
    { mounts: new Map([['/d', { type: 'persist' }]]) },
    'mounts: persist and full are type: persist and type: dev',
  ],
  [
    'mounts: { /dev: full }',
    { mounts: new Map([['/dev', { type: 'dev' }]]) },
    'mounts: persist and full are type: persist and type: dev',
  ],
  [
    'mounts: { /m: { resource: "ferris:0.0.1/" } }',
    { mounts: new Map([['/m', { type: 'resource', name: 'ferris', version: '=0.0.1', dir: '/' }]]) },
    'mounts: a mount says its type (resource)',
  ],
  [
    'mounts: { /m: { resource: "r:1.2.3/a/b" } }',
    { mounts: new Map([['/m', { type: 'resource', name: 'r', version: '=1.2.3', dir: '/a/b' }]]) },
    'mounts: a mount says its type (resource)',
  ],
  [
    'cgroups: { memory: { limit_in_bytes: 10000000, swappiness: 0 } }',
    { cgroups: { memory: { oom_monitor: false, memory_hard_limit: 10000000, swappiness: 0 } } },
    'cgroups: memory.limit_in_bytes is memory.memory_hard_limit',
  ],
  ['seccomp: { clone: 1, kill: 0 }', { seccomp: { allow: new Map([['clone', 'any']]) } }, seccompNote],
  [
    'seccomp: { socket: arg0 == AF_UNIX || arg0 == 2 }',
    { seccomp: { allow: new Map([['socket', { args: { index: 0, values: [1n, 2n] } }]]) } },
    seccompNote,
  ],
  [
    'seccomp: { mmap: arg2 in ~PROT_EXEC || arg2 in PROT_READ|PROT_WRITE }',
    {
      seccomp: {
        allow: new Map([
          [
            'mmap',
            {
              args: [
                { index: 2, mask: 2n ** 64n - 5n },
                { index: 2, mask: 3n },
              ],
            },
          ],
        ]),
      },
    },
    seccompNote,
  ],
];

for (const [text, today, note] of forms) {
  test(`the older form is understood and reported once: ${text}`, async () => {
    const { manifest, deprecations } = await read(text);
    assert.deepEqual(manifest, { name: 'a', version: '1.0.0', uid: 1, gid: 1, init: '/a', ...today });
    assert.deepEqual(deprecations, [note]);
  });
}

for (const [expression, term] of [
  ['arg0 == 1 && arg1 == 2', 'arg0 == 1 && arg1 == 2'],
  ['arg0 == 1 || arg1 & 4', 'arg1 & 4'],
  ['arg0 != 3', 'arg0 != 3'],
  ['arg6 == 1', 'arg6 == 1'],
  ['return EPERM', 'return EPERM'],
  ['arg0 == 1; return 1', 'arg0 == 1; return 1'],
  ['arg0 == O_STRANGE', 'O_STRANGE'],
] as const) {
  test(`a policy without a counterpart is refused with the term: ${expression}`, async () => {
    await assert.rejects(read(`seccomp: { read: "${expression}" }`), (error: Error) => {
      assert.ok(error.message.startsWith('manifest.yaml:6:12: seccomp.read: '), error.message);
      assert.ok(error.message.includes(`"${term}"`), error.message);
      return true;
    });
  });
}

test('a package of the older format has /proc and /dev, and every file of a controller is written', async () => {
  const text =
    'cgroups: { cpu: { shares: 100, stat: 1 }, cpuset: { cpus: 0-1 }, blkio: { weight: 10 } }\nio: { stderr: pipe }';
  const { manifest } = await read(text, true);
  assert.deepEqual(
    manifest.mounts,
    new Map([
      ['/proc', { type: 'proc' }],
      ['/dev', { type: 'dev' }],
    ]),
  );
  assert.deepEqual(manifest.cgroups?.cpu, { cpus: '0-1', shares: 100, attrs: { 'cpu.stat': '1' } });
  assert.deepEqual(manifest.cgroups.blkio?.weight_device, []);
  assert.deepEqual(manifest.io, { stdout: 'discard', stderr: 'pipe' });
  await assert.rejects(
    read('cgroups: { pids: { max: 5 } }', true),
    /cgroups\.pids: this controller has no counterpart/,
  );
  await assert.rejects(
    read('cgroups: { cpuset: { sched_load_balance: 1 } }', true),
    /cgroups\.cpuset\.sched_load_balance: has no counterpart/,
  );
});

test('keeps at which level and under which tag a stream is logged', async () => {
  const { logs } = await read('io: { stdout: { log: [WARN, hello] }, stderr: pipe }');
  assert.deepEqual([...logs], [['stdout', { level: 'warn', tag: 'hello' }]]);
  for (const log of ['[LOUD, x]', '[INFO]', '[INFO, a, b]', 'INFO']) {
    await assert.rejects(
      read(`io: { stdout: { log: ${log} } }`),
      /io\.stdout\.log: must be a level \(trace, .*\) and a tag/,
    );
  }
});

test('a resource container of the older format has no /proc', async () => {
  const { manifest } = await readManifest(Buffer.from(base.replace('init: /a\n', '')), { old: true });
  assert.equal(manifest.mounts, undefined);
});

test("today's manifest is no older one", async () => {
  const { deprecations } = await read(
    'mounts: { /a: { type: dev } }\nseccomp: { profile: default }\nio: { stdout: pipe, stderr: pipe }\nautostart: critical',
  );
  assert.deepEqual(deprecations, []);
});
