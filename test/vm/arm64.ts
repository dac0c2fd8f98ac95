// The arm64 package on arm64 kernels: Debian's, emulated, with pages of 4 and of 16 kB. By `npm run test:arm64`, since that takes
// its time.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { pack } from '../../src/npk/pack.ts';
import { release } from '../support/made-release.ts';
import { runDebian } from './debian-machine.ts';
import { cache, root } from './kept.ts';

const run = promisify(execFile);

/** The longest that the machine may take, ms: far more than it does, since others may be at work beside it. */
const patience = 1_100_000;

/** Bytes of a page, and the root with a kernel that has such. */
const kernels = [
  [4096, 'arm64.tar'],
  [16384, 'arm64-16k.tar'],
] as const;

const document = `apiVersion: northstate/v1
repositories: { packages: { type: fs, dir: /var/lib/northstate/packages } }
containers: { hello: { version: 1.0.0, state: running } }
...
`;

for (const [page, archive] of kernels) {
  test(`on arm64 with pages of ${page} bytes the runtime comes up, a container runs, is adopted, and stopped`, () =>
    tryOn(page, path.join(cache, archive)));
}

/** As the suites have it whose files lie in /usr alone. */
async function mergeUsr(folder: string): Promise<void> {
  for (const name of ['bin', 'lib', 'sbin']) {
    if (existsSync(path.join(folder, name))) continue;
    await mkdir(path.join(folder, 'usr', name), { recursive: true });
    await symlink(`usr/${name}`, path.join(folder, name));
  }
}

async function tryOn(page: number, debianRoot: string): Promise<void> {
  assert.ok(existsSync(debianRoot), `${debianRoot} is missing: run sh native/setup.sh --arm64`);
  const work = await mkdtemp(path.join(tmpdir(), 'northstate-arm64-'));
  const inside = (name: string): string => path.join(work, name);
  try {
    for (const name of ['debian', 'out', 'image']) await mkdir(inside(name));
    await run('tar', ['-xf', debianRoot, '-C', inside('debian')]);
    await mergeUsr(inside('debian'));
    const debian =
      (await release(inside('out'), { architecture: 'arm64' })).find((name) => name.endsWith('.deb')) ?? '';
    for (const name of ['dev', 'etc', 'proc', 'root', 'run', 'sys', 'tmp', 'var']) {
      await mkdir(inside(`debian/${name}`), { recursive: true });
    }
    await symlink('busybox', inside('debian/bin/sh'));
    await run('dpkg-deb', ['-x', path.join(inside('out'), debian), inside('debian')]);
    await run('aarch64-linux-gnu-gcc', [
      ...['-static', '-O2', '-o', inside('image/hello'), path.join(root, 'examples/hello-world/hello-world.c')],
    ]);
    const manifest = inside('manifest.yaml');
    await writeFile(
      manifest,
      'name: hello\nversion: 1.0.0\ninit: /hello\nuid: 1000\ngid: 1000\nseccomp: { profile: default }\nio: { stdout: pipe, stderr: pipe }\n',
    );
    await pack({ manifest, root: inside('image'), out: inside('hello-1.0.0.npk') });
    const output = await runDebian(
      {
        ...{ architecture: 'arm64', root: inside('debian'), kernel: inside('debian') },
        busybox: inside('debian/bin/busybox'),
        files: { 'root/hello-1.0.0.npk': inside('hello-1.0.0.npk') },
        scripts: {
          'sbin/init': await readFile(path.join(import.meta.dirname, 'guest/arm64.sh'), 'utf8'),
          'root/desired.yaml': document,
          // An emulated machine takes its time between two steps.
          'root/config.yaml': 'sleep: { after: never }\n',
        },
      },
      patience,
    );
    assert.match(output, /^done$/m, output);
    assert.equal((output.match(/^ok: /gm) ?? []).length, 12, output);
    assert.match(output, new RegExp(`"detail": "${page} bytes`));
  } finally {
    await rm(work, { recursive: true });
  }
}
