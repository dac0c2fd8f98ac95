import assert from 'node:assert/strict';
import { readdirSync, readlinkSync } from 'node:fs';
import { copyFile, mkdir, readFile, rm, symlink, truncate, unlink, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { readPackage } from '../../../src/npk/open-package.ts';
import type { ContainerStatus } from '../../../state/status.ts';
import { run } from '../../support/command.ts';
import { documentOf, startDaemon, type Daemon } from '../../support/test-daemon.ts';
import { openDescriptors } from '../../support/leaks.ts';
import { probePackage, withoutSyscall } from '../../support/packages.ts';
import { endsClean, inside, running } from '../../support/scenario.ts';

const bystanderEntry = 'bystander: { version: 1.0.0, state: running }';
const bystander = await probePackage({ name: 'bystander' });

/** Why a container is not as it should be: the messages of its conditions that say so. */
const complaints = ({ conditions }: ContainerStatus): string =>
  conditions
    .filter(({ type, status }) => (type === 'Degraded' ? status === 'True' : type === 'Ready' && status === 'False'))
    .map(({ reason, message }) => `${reason} ${message}`)
    .join('; ');

const complains = (daemon: Daemon, name: string, about: RegExp): Promise<ContainerStatus> =>
  daemon.untilContainer(name, `complains about ${about}`, (container) => about.test(complaints(container)));

/** What the descriptors of launcher and reconciler lead to, counted. Numbers of sockets, pipes and processes differ. */
function descriptors(daemon: Daemon): Map<string, number> {
  const counts = new Map<string, number>();
  for (const pid of [daemon.pid, daemon.reconciler() ?? 0]) {
    for (const fd of readdirSync(`/proc/${pid}/fd`)) {
      const key = `${pid === daemon.pid ? 'launcher' : 'reconciler'} ${targetOf(`/proc/${pid}/fd/${fd}`)}`;
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
  }
  return counts;
}

/** One that was closed since it was listed has none. */
function targetOf(link: string): string {
  try {
    return readlinkSync(link).replace(/\d+/g, 'N');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'nothing';
    throw error;
  }
}

/** The fewest of each that were open at a time: what is open for a moment only is no leak. Looks for half a second. */
async function steadyDescriptors(daemon: Daemon): Promise<Record<string, number>> {
  const samples: Map<string, number>[] = [];
  for (let sample = 0; sample < 25; sample++) {
    samples.push(descriptors(daemon));
    await delay(20);
  }
  const keys = new Set(samples.flatMap((counts) => [...counts.keys()]));
  const fewest = [...keys].map((key) => [key, Math.min(...samples.map((counts) => counts.get(key) ?? 0))] as const);
  return Object.fromEntries(fewest.filter(([, count]) => count > 0));
}

/** Adds an entry to the bystander's, has `body` look at the fault, and takes the entry away. */
async function withEntry(daemon: Daemon, entry: string, body: () => Promise<void>): Promise<void> {
  await daemon.write(documentOf(daemon.repository, bystanderEntry, entry));
  await body();
  await daemon.write(documentOf(daemon.repository, bystanderEntry));
  await daemon.until('only the bystander is left', ({ containers, converged, generation, observedGeneration }) => {
    return converged && generation === observedGeneration && Object.keys(containers).length === 1;
  });
}

/** A copy of a package in the repository, changed by `spoil`, which is told where its image lies. */
async function spoiled(
  daemon: Daemon,
  name: string,
  spoil: (path: string, image: { readonly offset: number; readonly size: number }) => Promise<void>,
): Promise<void> {
  const good = await probePackage({ name });
  const path = join(daemon.directory, basename(good));
  await copyFile(good, path);
  await spoil(path, (await readPackage(good)).image);
  await copyFile(path, join(daemon.repository, basename(good)));
}

async function overwrite(path: string, from: number, size: number): Promise<void> {
  const bytes = await readFile(path);
  bytes.fill(0xa5, from, from + size);
  await writeFile(path, bytes);
}

test('each fault ends in a clear status, hurts nothing else, and leaves nothing behind', async (t) => {
  const before = openDescriptors();
  await using daemon = await startDaemon({
    packages: [bystander],
    document: (directory) => documentOf(directory, bystanderEntry),
    // It is looked at what one process keeps open.
    configuration: 'sleep: { after: never }\n',
  });
  const { pid } = await running(daemon, 'bystander');
  const [launcher, reconciler] = [daemon.pid, daemon.reconciler()];
  const good = await probePackage({ name: 'good' });
  const drop = (file: string) => copyFile(file, join(daemon.repository, basename(file)));
  await drop(good);
  const goodEntry = 'good: { version: 1.0.0, state: running }';
  // Once for what is opened with the first use and kept.
  await withEntry(daemon, goodEntry, async () => {
    await running(daemon, 'good');
  });
  const opened = await steadyDescriptors(daemon);

  await t.test('a package that is cut off is no package', async () => {
    await spoiled(daemon, 'truncated', (path, { offset }) => truncate(path, offset + 100));
    await withEntry(daemon, 'truncated: { version: 1.0.0, state: running }', async () => {
      const { repositories } = await daemon.until('the repository names it', (status) =>
        (status.repositories['packages']?.problems ?? []).some((problem) => problem.includes('truncated')),
      );
      assert.equal(repositories['packages']?.problems.length, 1);
      await complains(daemon, 'truncated', /WaitingForPackage .*truncated/);
    });
  });

  await t.test('an image that is garbage is not mounted', async () => {
    await spoiled(daemon, 'garbage', (path, { offset, size }) => overwrite(path, offset + 96, size - 96));
    await withEntry(daemon, 'garbage: { version: 1.0.0, state: running }', async () => {
      await complains(daemon, 'garbage', /garbage.*(?:EINVAL|EIO|image)/);
    });
  });

  for (const [what, init, errno] of [
    ['is missing', '/missing', 'ENOENT'],
    ['is not executable', '/text', 'EACCES'],
    ['is a directory', '/dir', 'EACCES'],
  ] as const) {
    await t.test(`an init that ${what} fails the start with ${errno}`, async () => {
      const name = `init-${errno.toLowerCase()}-${init.slice(1)}`;
      await drop(
        await probePackage({
          name,
          fields: `init: ${init}`,
          files: { text: 'text', 'dir/file': '' },
        }),
      );
      await withEntry(daemon, `${name}: { version: 1.0.0, state: running }`, async () => {
        const failed = await complains(daemon, name, new RegExp(`StartFailed .*${init}.*${errno}`));
        assert.equal(failed.phase, 'Failed');
      });
    });
  }

  await t.test('a limit that the kernel refuses fails the start, and is named', async () => {
    const greedy = await probePackage({ name: 'greedy', fields: 'cgroups: { cpu: { cpus: "9999" } }' });
    await copyFile(greedy, join(daemon.repository, basename(greedy)));
    await withEntry(daemon, 'greedy: { state: running }', async () => {
      await complains(daemon, 'greedy', /cpuset|cpus/);
    });
    await rm(join(daemon.repository, basename(greedy)));
  });

  await t.test('without a loop device the mount is tried again until there is one', async () => {
    const file = join(daemon.directory, 'no-device');
    await writeFile(file, '');
    await inside(daemon, 'mount', '--bind', file, '/dev/loop-control');
    await withEntry(daemon, goodEntry, async () => {
      await complains(daemon, 'good', /loop/);
      await inside(daemon, 'umount', '/dev/loop-control');
      await running(daemon, 'good');
    });
  });

  await t.test('a repository that is full takes no package, and keeps no part of one', async () => {
    const source = await probePackage({ name: 'big', files: { data: 'x'.repeat(10_000) } });
    const directory = join(daemon.directory, 'small');
    await mkdir(directory);
    await inside(daemon, 'mount', '-t', 'tmpfs', '-o', 'size=4k', 'tmpfs', directory);
    const entry = `big: { version: 1.0.0, state: running, source: ${source}, repository: small }`;
    const text = documentOf(daemon.repository, bystanderEntry, entry);
    await daemon.write(text.replace('containers:', `  small: { type: fs, dir: ${directory} }\ncontainers:`));
    await complains(daemon, 'big', /ENOSPC|no space/);
    const { stdout } = await run('nsenter', [`--mount=/proc/${daemon.reconciler()}/ns/mnt`, 'ls', '-A', directory]);
    assert.equal(stdout, '');
    await daemon.write(documentOf(daemon.repository, bystanderEntry));
    await daemon.until(
      'big is forgotten',
      ({ containers, repositories }) => !('big' in containers) && !('small' in repositories),
    );
    await inside(daemon, 'umount', directory);
    await rm(directory, { recursive: true });
  });

  await t.test('a document on a full disk stops no command: it lasts until the boot ends', async () => {
    const directory = join(daemon.directory, 'full');
    await mkdir(directory);
    await inside(daemon, 'mount', '-t', 'tmpfs', '-o', 'size=4k', 'tmpfs', directory);
    const text = documentOf(daemon.repository, bystanderEntry, goodEntry);
    await writeFile(join(daemon.directory, 'text.yaml'), text);
    await inside(daemon, 'cp', join(daemon.directory, 'text.yaml'), join(directory, 'desired.yaml'));
    await unlink(daemon.document);
    await symlink('full/desired.yaml', daemon.document);
    await running(daemon, 'good');
    const stopped = await daemon.run('stop', 'good');
    assert.equal(stopped.code, 0, stopped.stderr);
    const { document, containers } = await daemon.until(
      'says so',
      (status) => status.document.status === 'notWritable',
    );
    assert.match(document.error?.message ?? '', /ENOSPC|no space/);
    assert.equal(containers['good']?.desired, 'mounted');
    await unlink(daemon.document);
    await daemon.write(documentOf(daemon.repository, bystanderEntry));
    await daemon.until(
      'written again',
      (status) => status.document.status === 'ok' && !('good' in status.containers) && status.converged,
    );
    await inside(daemon, 'umount', directory);
    await rm(directory, { recursive: true });
  });

  await t.test(
    'a full stateDir holds up no document: apply answers what has happened, and it is kept when there is space',
    async () => {
      const directory = join(daemon.directory, 'state/generations');
      await inside(daemon, 'mount', '-t', 'tmpfs', '-o', 'size=4k', 'tmpfs', directory);
      const filler = join(directory, 'filler');
      await inside(daemon, 'cp', '/proc/self/cmdline', filler);
      const file = join(daemon.directory, 'applied.yaml');
      await writeFile(file, documentOf(daemon.repository, bystanderEntry, goodEntry));
      const { code, stdout, stderr } = await daemon.run('apply', '-f', file, '--wait');
      assert.equal(code, 0, stderr);
      assert.match(`${stdout}${stderr}`, /converged/);
      assert.match(stderr, /not durable: ENOSPC/);
      const { generation, conditions } = await daemon.until('says so', ({ conditions: all }) => all.length > 0);
      assert.deepEqual(
        conditions.map(({ type }) => type),
        ['NotDurable'],
      );
      assert.match(
        conditions[0]?.message ?? '',
        /ENOSPC.* is kept until the boot ends, and is stored when the disk takes it/,
      );
      assert.equal(
        (await daemon.untilContainer('good', 'runs', ({ phase }) => phase === 'Running')).desired,
        'running',
      );
      await inside(daemon, 'rm', filler);
      await inside(daemon, 'mount', '-o', 'remount,size=1m', directory);
      await daemon.until('is stored', ({ conditions: all }) => all.length === 0);
      const stored = await run('nsenter', [`--mount=/proc/${daemon.reconciler()}/ns/mnt`, 'ls', directory]);
      assert.match(stored.stdout, new RegExp(`0${generation}-apply.json`));
      await daemon.write(documentOf(daemon.repository, bystanderEntry));
      await daemon.until('good is gone', (status) => !('good' in status.containers) && status.converged);
      await inside(daemon, 'umount', directory);
    },
  );

  await t.test(
    'the daemon and the other container are the same as before, and no descriptor is left open',
    async () => {
      const { containers } = await daemon.until('converged', ({ converged }) => converged);
      assert.equal(containers['bystander']?.pid, pid);
      assert.equal(containers['bystander'].restarts, 0);
      assert.deepEqual([daemon.pid, daemon.reconciler()], [launcher, reconciler]);
      assert.deepEqual(await steadyDescriptors(daemon), opened);
    },
  );
  await endsClean(daemon, before);
});

/** process_madvise: from there on a number is the same on every architecture, and calls are only added. */
const lastOfLinux510 = 440;

test('without any system call that Linux 5.10 does not have, containers start, stop and are replaced', async () => {
  const app = await probePackage({ name: 'app' });
  const next = await probePackage({ name: 'app', version: '1.1.0' });
  const prefix = await withoutSyscall(lastOfLinux510 + 1, 0x3fffffff);
  const entry = (version: string) => `app: { version: ${version}, state: running }`;
  const before = openDescriptors();
  await using daemon = await startDaemon({
    packages: [app, next],
    document: (directory) => documentOf(directory, entry('1.0.0')),
    prefix,
  });
  await running(daemon, 'app');
  await daemon.write(documentOf(daemon.repository, entry('1.1.0')));
  await daemon.untilContainer(
    'app',
    'runs as 1.1.0',
    ({ phase, version }) => phase === 'Running' && version === '1.1.0',
  );
  await endsClean(daemon, before);
});
