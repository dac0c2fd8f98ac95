// The Debian package on a real systemd, and with busybox as the init: Debian's root and kernel in a machine, which installs it,
// updates a container, reboots twice and removes it.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { probePackage } from '../support/packages.ts';
import { release } from '../support/made-release.ts';
import { debianRoot, runDebian } from './debian-machine.ts';
import { cache } from './kept.ts';

/** The longest that the machine may take, ms: far more than it does, since others may be at work beside it. */
const patience = 1_100_000;

const guestUnit = `[Unit]
Description=what is tried in this machine
After=local-fs.target
[Service]
ExecStart=/root/guest.sh
StandardOutput=tty
TTYPath=/dev/ttyS0
`;

const document = `apiVersion: northstate/v1
repositories: { packages: { type: fs, dir: /var/lib/northstate/packages } }
containers: { hello: { version: ^1, state: running } }
...
`;

test('a Debian with systemd, and with busybox as init: package, unit, journal, watchdog, update, reboots, purge', async () => {
  assert.ok(existsSync(debianRoot), `${debianRoot} is missing: run sh native/setup.sh --test`);
  const out = await mkdtemp(path.join(tmpdir(), 'northstate-release-'));
  try {
    const debian = (await release(out)).find((name) => name.endsWith('.deb')) ?? '';
    const hello = (version: string): Promise<string> =>
      probePackage({
        ...{ name: 'hello', version, args: ['print', '1', 'hello-line', 'sleep'] },
        fields: 'cgroups: { memory: { memory_hard_limit: 33554432 } }',
      });
    const output = await runDebian(
      {
        ...{ architecture: 'amd64', root: debianRoot, kernel: path.join(cache, 'kernel'), busybox: '/bin/busybox' },
        files: {
          'bin/busybox': '/bin/busybox',
          'root/northstate.deb': path.join(out, debian),
          'root/hello-1.0.0.npk': await hello('1.0.0'),
          'root/hello-1.1.0.npk': await hello('1.1.0'),
        },
        scripts: {
          'root/guest.sh': await readFile(path.join(import.meta.dirname, 'guest/systemd.sh'), 'utf8'),
          'root/inittab': await readFile(path.join(import.meta.dirname, 'guest/inittab'), 'utf8'),
          'root/desired.yaml': document,
          'etc/systemd/system/guest.service': guestUnit,
          'etc/systemd/system/multi-user.target.d/guest.conf': '[Unit]\nWants=guest.service\n',
        },
      },
      patience,
    );
    assert.match(output, /^done$/m, output);
    assert.doesNotMatch(output, /FAILED/);
    assert.ok((output.match(/^ok: /gm) ?? []).length > 20, output);
  } finally {
    await rm(out, { recursive: true });
  }
});
