// What the Debian package does to a runtime that runs when it is upgraded, by its own script, with programs that only say how they
// were called.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

const script = join(import.meta.dirname, '../../../src/release/files/debian/postinst');
const configuration =
  '{\n "console": [\n  { "listen": "unix:///run/one/console" },\n  { "listen": "unix:///run/two" }\n ]\n}\n';

/** Runs the script in a mount namespace with systemd's mark in /run; `reexec` is the exit status of that command. */
function upgrade({
  reexec = 0,
  active = true,
  earlier = '0.1.0',
}: {
  reexec?: number;
  active?: boolean;
  earlier?: string;
}) {
  const directory = mkdtempSync(join(tmpdir(), 'northstate-upgrade-'));
  const program = (name: string, body: string): void =>
    writeFileSync(join(directory, name), `#!/bin/sh\necho "${name} $*" >>${directory}/calls\n${body}\n`, {
      mode: 0o755,
    });
  try {
    for (const name of ['deb-systemd-helper', 'deb-systemd-invoke', 'systemd-tmpfiles']) program(name, 'exit 0');
    program('systemctl', `case "$*" in *is-active*) exit ${active ? 0 : 3} ;; esac`);
    writeFileSync(join(directory, 'configuration'), configuration);
    program(
      'northstate',
      `[ "$1" = config ] && exec cat ${directory}/configuration; echo "northstate: why"; exit ${reexec}`,
    );
    const command = `mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system && exec sh ${script} configure ${earlier}`;
    const { status, stderr } = spawnSync('unshare', ['--mount', 'sh', '-c', command], {
      env: { PATH: `${directory}:${process.env['PATH'] ?? ''}` },
      encoding: 'utf8',
    });
    const calls = readFileSync(join(directory, 'calls'), 'utf8').split('\n');
    return { status, stderr, calls: calls.filter((call) => /^(northstate reexec|deb-systemd-invoke)/.test(call)) };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

const asked = 'northstate reexec --console unix:///run/one/console';

test('an upgrade has the new version take over from the one that runs', () => {
  assert.deepEqual(upgrade({}), { status: 0, stderr: '', calls: [asked] });
});

test('one that does not prove itself is named, and the one before runs on', () => {
  const { status, stderr, calls } = upgrade({ reexec: 3 });
  assert.deepEqual([status, calls], [0, [asked]]);
  assert.match(stderr, /^northstate: why\nnorthstate: the version before runs on; .*systemctl restart northstate\n$/);
});

test('one that cannot be asked is started anew, and what does not run is started', () => {
  assert.deepEqual(upgrade({ reexec: 1 }).calls, [asked, 'deb-systemd-invoke restart northstate.service']);
  assert.deepEqual(upgrade({ active: false }).calls, ['deb-systemd-invoke start northstate.service']);
  assert.deepEqual(upgrade({ earlier: '' }).calls, ['deb-systemd-invoke start northstate.service']);
});
