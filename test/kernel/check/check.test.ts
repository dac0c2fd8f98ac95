// What `northstate check` says, against what the host shows by other ways. Runs here and on other kernels (test/vm).
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { Feature } from '../../../src/check/feature.ts';
import { northstate, run } from '../../support/command.ts';

interface Report {
  readonly ok: boolean;
  readonly kernel: string;
  readonly features: readonly Feature[];
}

/** Where something is mounted, but by other tests. */
const mounts = (): string[] =>
  readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => !line.includes('/northstate-'));
const before = mounts();
const { code, stdout, stderr } = await run(northstate, ['check', '-o', 'json']);
const report = JSON.parse(stdout) as Report;
const presenceOf = (name: string) => report.features.find((feature) => feature.name === name)?.presence;
const shows = (isThere: boolean) => (isThere ? 'present' : 'absent');

test('a host that runs these tests can run northstate', () => {
  assert.deepEqual({ code, ok: report.ok, stderr }, { code: 0, ok: true, stderr: '' });
  assert.equal(report.kernel, readFileSync('/proc/sys/kernel/osrelease', 'utf8').trim());
  for (const { name, required, presence } of report.features) if (required) assert.equal(presence, 'present', name);
});

test('a device mapper is there when its device is', () => {
  assert.equal(presenceOf('dm-verity'), shows(existsSync('/sys/class/misc/device-mapper')));
});

test('file systems are there as the kernel lists them', () => {
  const listed = readFileSync('/proc/filesystems', 'utf8').split('\n');
  for (const name of ['squashfs', 'erofs']) assert.equal(presenceOf(name), shows(listed.includes(`\t${name}`)), name);
});

test('every compression of squashfs is told, and gzip is there', () => {
  assert.equal(presenceOf('squashfs with gzip'), 'present');
  for (const name of ['xz', 'zstd', 'lzo', 'lz4'])
    assert.notEqual(presenceOf(`squashfs with ${name}`), 'unknown', name);
});

test('controllers are there as the kernel has enabled and somebody has mounted them', () => {
  const trees = before.filter((line) => / - cgroup2? /.test(line));
  const unified = trees.find((line) => line.includes(' - cgroup2 '))?.split(' ')[4];
  const offered = unified === undefined ? [] : readFileSync(`${unified}/cgroup.controllers`, 'utf8').trim().split(' ');
  const legacy = trees.flatMap((line) =>
    line.includes(' - cgroup ') ? (line.split(' ').at(-1)?.split(',') ?? []) : [],
  );
  for (const name of ['cpu', 'cpuset', 'memory', 'blkio', 'pids']) {
    const isThere = legacy.includes(name) || offered.includes(name === 'blkio' ? 'io' : name);
    assert.equal(presenceOf(name), shows(isThere), name);
  }
});

test('a capability is there when this process has it', () => {
  const mask = BigInt(`0x${/^CapEff:\t(\w+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? ''}`);
  assert.equal(presenceOf('CAP_SYS_RESOURCE'), shows((mask & (1n << 24n)) !== 0n));
});

test('what is missing comes with what to enable, and nothing has been mounted', () => {
  for (const { name, presence, enable } of report.features) if (presence !== 'present') assert.ok(enable, name);
  assert.deepEqual(mounts(), before);
});

test('for people it is a table with a verdict', async () => {
  const table = await run(northstate, ['check']);
  assert.equal(table.code, 0);
  assert.match(table.stdout, /^kernel +Linux 5\.10 or newer +there +Linux \d/m);
  assert.match(table.stdout, /\nthis host can run northstate\n$/);
});
