// What holds of mounts in a container, on every kernel: the same cases run with and without mount_setattr.
import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Attempt } from '../../native/wire/launcher.ts';
import { probePackage } from './packages.ts';
import { fixture, openBoxes } from './boxes.ts';

const oldFixtures = fileURLToPath(new URL('../fixtures/npk-old/', import.meta.url));

/** Declares the tests. `wrapper` starts the launcher. */
export async function mountCases(wrapper: readonly string[]): Promise<void> {
  const boxes = await openBoxes({ wrapper });
  after(() => boxes[Symbol.asyncDispose]());
  const host = mkdtempSync(join(tmpdir(), 'northstate-binds-'));
  after(() => rmSync(host, { recursive: true }));
  mkdirSync(join(host, 'below'));
  writeFileSync(join(host, 'below/file'), 'from the host\n');

  /** Starts a container that sleeps, has `look` look at it, and ends it. */
  async function whileRunning(
    box: Parameters<typeof boxes.launch>[0],
    look: (running: Attempt) => void,
  ): Promise<void> {
    const running = await boxes.launch({ args: ['sleep'], ...box });
    try {
      look(running);
    } finally {
      await boxes.reconciler.call('kill', running.id, 9);
      await boxes.ended(running);
    }
  }

  test('mounts a bind read-only unless it says rw', async () => {
    const { stdout } = await boxes.run({ package: fixture('mount-bind-ro-1.0.0') });
    assert.equal(stdout, await readFile('/etc/hostname', 'utf8'));
    await whileRunning({ package: fixture('mount-bind-ro-1.0.0') }, (running) => {
      assert.deepEqual(optionsOf(running, '/host/etc'), ['ro']);
    });
  });

  test('keeps the flags of a bind that can be written', async () => {
    await whileRunning({ package: fixture('mount-bind-rw-1.0.0') }, (running) => {
      assert.deepEqual(optionsOf(running, '/host/tmp'), ['rw', 'nosuid', 'nodev', 'noexec']);
    });
  });

  test('writes through a bind with rw, and not through one without', async () => {
    const binds = await probePackage({
      name: 'binds',
      fields: `uid: 1\ngid: 1\ncapabilities: [CAP_DAC_OVERRIDE]\nmounts:
  /rw: { type: bind, host: ${JSON.stringify(host)}, options: rw }
  /ro: { type: bind, host: ${JSON.stringify(host)} }\n`,
    });
    assert.deepEqual((await boxes.run({ package: binds, args: ['write', '/rw/new', 'text'] })).exit, { code: 0 });
    assert.equal(readFileSync(join(host, 'new'), 'utf8'), 'text');
    assert.deepEqual((await boxes.run({ package: binds, args: ['write', '/ro/other', 'text'] })).exit, { code: 30 });
  });

  test('takes what is mounted below a bind along only with rec, and with the same flags', async () => {
    const below = await probePackage({
      name: 'below',
      fields: `mounts:
  /with: { type: bind, host: /sys, options: "rec,nosuid" }
  /without: { type: bind, host: /sys }\n`,
    });
    await whileRunning({ package: below }, (running) => {
      const mounts = mountsOf(running);
      const within = [...mounts.keys()].filter((target) => target.startsWith('/with/'));
      assert.ok(within.length > 0);
      for (const target of within) assert.deepEqual(mounts.get(target)?.slice(0, 2), ['ro', 'nosuid'], target);
      assert.ok(![...mounts.keys()].some((target) => target.startsWith('/without/')));
    });
  });

  test('binds a single file', async () => {
    const single = await probePackage({
      name: 'single',
      files: { 'etc/file': '' },
      fields: `mounts: { /etc/file: { type: bind, host: ${JSON.stringify(join(host, 'below/file'))} } }`,
    });
    assert.equal((await boxes.run({ package: single, args: ['cat', '/etc/file'] })).stdout, 'from the host\n');
    assert.deepEqual((await boxes.run({ package: single, args: ['write', '/etc/file', 'x'] })).exit, { code: 30 });
  });

  test('skips a bind whose host path is missing', async () => {
    await whileRunning({ package: fixture('mount-bind-missing-1.0.0') }, (running) => {
      assert.ok(!mountsOf(running).has('/host/gone'));
    });
  });

  test('mounts the image nosuid and nodev, and only of its /dev without the latter', async () => {
    await whileRunning({ package: fixture('minimal-1.0.0') }, (running) => {
      assert.deepEqual(optionsOf(running, '/'), ['ro', 'nosuid', 'nodev']);
    });
    await whileRunning({ package: fixture('mount-dev-1.0.0') }, (running) => {
      assert.deepEqual(optionsOf(running, '/'), ['ro', 'nosuid', 'nodev']);
      assert.deepEqual(optionsOf(running, '/dev'), ['ro', 'nosuid', 'noexec']);
    });
  });

  test('shows the container nothing but its own mounts', async () => {
    await whileRunning({ package: fixture('mount-dev-proc-1.0.0'), args: ['sleep'] }, (running) => {
      const own = [...mountsOf(running).keys()].filter((target) => !target.startsWith('/proc/'));
      assert.deepEqual(own.sort(), ['/', '/dev', '/proc']);
    });
  });

  test('mounts proc and sysfs read-only, nosuid, nodev and noexec', async () => {
    for (const [name, target] of [
      ['mount-proc-1.0.0', '/proc'],
      ['mount-sysfs-1.0.0', '/sys'],
    ] as const) {
      await whileRunning({ package: fixture(name), args: ['sleep'] }, (running) => {
        assert.deepEqual(optionsOf(running, target), ['ro', 'nosuid', 'nodev', 'noexec']);
      });
    }
  });

  test('hides what proc and sysfs tell of the host', async () => {
    const kernel = await probePackage({
      name: 'kernel',
      fields: 'mounts: { /proc: { type: proc }, /sys: { type: sysfs } }\ncapabilities: [CAP_DAC_OVERRIDE]',
    });
    await whileRunning({ package: kernel }, (running) => {
      const root = `/proc/${running.pid}/root`;
      const hidden = [...mountsOf(running).keys()].filter((target) => /^\/(proc|sys)\//.test(target));
      assert.ok(hidden.includes('/proc/timer_list'));
      for (const path of hidden) {
        const found = statSync(root + path);
        assert.deepEqual(found.isDirectory() ? readdirSync(root + path) : found.rdev, found.isDirectory() ? [] : 0x103);
      }
      for (const path of ['/proc/keys', '/proc/acpi', '/sys/firmware'])
        assert.equal(hidden.includes(path), existsSync(path), path);
    });
    const readOnly = 30;
    const written = ['/proc/sys/kernel/hostname', '/proc/irq/default_smp_affinity', '/proc/sysrq-trigger'];
    for (const path of written.filter((each) => existsSync(each)))
      assert.deepEqual((await boxes.run({ package: kernel, args: ['write', path, 'x'] })).exit, { code: readOnly });
  });

  test('gives a tmpfs its size, and everybody the right to write', async () => {
    const scratch = fixture('mount-tmpfs-1.0.0');
    await whileRunning({ package: scratch }, (running) => {
      assert.deepEqual(optionsOf(running, '/tmp/scratch'), ['rw', 'nosuid', 'nodev', 'noexec']);
      const line = readFileSync(`/proc/${running.pid}/mountinfo`, 'utf8')
        .split('\n')
        .find((text) => text.includes('/tmp/scratch'));
      assert.match(line ?? '', /size=64k/);
      const { blocks, bsize } = statfsSync(`/proc/${running.pid}/root/tmp/scratch`);
      assert.equal(blocks * bsize, 65536);
    });
  });

  test('mounts the persist directory writable, nosuid, nodev and noexec', async () => {
    await whileRunning({ package: fixture('mount-persist-1.0.0') }, (running) => {
      assert.deepEqual(optionsOf(running, '/data'), ['rw', 'nosuid', 'nodev', 'noexec']);
    });
  });

  test('mounts the directory of a resource', async () => {
    const resource = fixture('shared-data-1.1.0');
    const whole = { package: fixture('mount-resource-1.0.0'), resources: { '/shared': resource } };
    assert.equal((await boxes.run(whole)).stdout, 'data version one point one\n');
    const part = { package: fixture('mount-resource-dir-1.0.0'), resources: { '/shared': resource } };
    assert.notEqual((await boxes.run(part)).stdout, '');
    await whileRunning(part, (running) => {
      assert.deepEqual(optionsOf(running, '/shared'), ['ro', 'nosuid', 'nodev', 'noexec']);
    });
  });

  test('refuses a resource that is missing, or lacks the directory', async () => {
    await assert.rejects(boxes.run({ package: fixture('mount-resource-missing-1.0.0') }), {
      message: 'no installed version of shared-data matches ^9',
    });
    const lacking = {
      package: fixture('mount-resource-dir-missing-1.0.0'),
      resources: { '/shared': fixture('shared-data-1.1.0') },
    };
    await assert.rejects(boxes.run(lacking), {
      message: 'the resource shared-data:1.1.0 has no directory /no/such/dir',
    });
  });

  test('never follows a resource directory out of its image (ESR-01 006)', async () => {
    const resources = { '/shared': fixture('hostile-links-1.0.0') };
    await assert.rejects(boxes.run({ package: fixture('mount-resource-absolute-link-1.0.0'), resources }), {
      message: /^the resource hostile-links:1\.0\.0 has no directory/,
    });
    await assert.rejects(boxes.run({ package: fixture('mount-resource-dotdot-1.0.0'), resources }), {
      message: /mounts\.\/shared\.dir: must not contain "\.\."/,
    });
  });

  test('uses the device nodes of the image', async () => {
    const devices = await probePackage({ name: 'devices', fields: 'mounts: { /dev: { type: dev } }' });
    assert.deepEqual((await boxes.run({ package: devices, args: ['write', '/dev/null', 'x'] })).exit, { code: 0 });
    assert.deepEqual((await boxes.run({ package: devices, args: ['write', '/dev/full', 'x'] })).exit, { code: 28 });
  });

  test('makes the device nodes that an image lacks', async () => {
    const old = {
      package: join(oldFixtures, 'old-plain-0.1.0.npk'),
      resources: { '/message': join(oldFixtures, 'old-resource-0.0.1.npk') },
    };
    await whileRunning(old, (running) => {
      assert.deepEqual(optionsOf(running, '/dev'), ['ro', 'nosuid', 'noexec']);
      const dev = `/proc/${running.pid}/root/dev`;
      const names = [
        'fd',
        'full',
        'null',
        'ptmx',
        'pts',
        'random',
        'stderr',
        'stdin',
        'stdout',
        'tty',
        'urandom',
        'zero',
      ];
      assert.deepEqual(readdirSync(dev).sort(), names);
      assert.deepEqual([statSync(`${dev}/null`).rdev, statSync(`${dev}/null`).mode & 0o7777], [0x103, 0o666]);
    });
  });
}

/** Targets of a container's mounts and their options (proc_pid_mountinfo(5)), without those that say how times are kept. */
function mountsOf({ pid }: Attempt): Map<string, string[]> {
  const lines = readFileSync(`/proc/${pid}/mountinfo`, 'utf8').trimEnd().split('\n');
  return new Map(
    lines.map((line) => {
      const [, , , , target = '', options = ''] = line.split(' ');
      return [target, options.split(',').filter((option) => !option.endsWith('atime'))];
    }),
  );
}

function optionsOf(attempt: Attempt, target: string): string[] {
  return mountsOf(attempt).get(target) ?? [];
}
