// northstate seccomp: what a manifest or package lets in, and profiles from traces; names are checked where packages are made.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { ownArchitecture } from '../../../native/seccomp-filter.ts';
import { probePackage } from '../../support/packages.ts';
import { northstate } from './command-line.ts';

const nowhere = 'unix:///nowhere/console';
const directory = await mkdtemp(join(tmpdir(), 'northstate-seccomp-'));
after(() => rm(directory, { recursive: true }));

const manifest = (seccomp: string): string => `name: a\nversion: 1.0.0\ninit: /a\nuid: 1\ngid: 1\n${seccomp}`;
const other = { call: ownArchitecture === 'x86_64' ? 'cacheflush' : 'open' };

async function file(name: string, text: string): Promise<string> {
  await writeFile(join(directory, name), text);
  return join(directory, name);
}

test('a manifest is shown as the calls it lets in, on which conditions, and the filter', async (context) => {
  const rule = 'seccomp:\n  profile: default\n  allow:\n    reboot: !args { index: 2, values: [1], mask: 6 }\n';
  const path = await file('profile.yaml', manifest(rule));
  const { code, stdout, stderr } = await northstate(context, nowhere, ['seccomp', path]);
  assert.deepEqual([code, stderr], [0, '']);
  assert.match(stdout, /^a:1\.0\.0 on \w+; whatever is not listed ends the process with SIGSYS\n/);
  assert.match(stdout, /^openat$/m);
  assert.match(stdout, /^reboot +argument 2 is 0x1, or argument 2 has no bit outside 0x6$/m);
  assert.match(stdout, /^clone3 +answered with ENOSYS$/m);
  assert.match(stdout, /^The filter: \d+ instructions$/m);
  assert.match(stdout, /# filter for syscall "openat" \(\d+\)/);
  assert.doesNotMatch(stdout, /^mount$/m);
});

test('a package is shown for the architecture that is asked for, as JSON for scripts', async (context) => {
  const fields = 'seccomp: { allow: { write: any, open: any } }\n';
  const path = await probePackage({ name: 'filtered', fields });
  for (const [architecture, names] of [
    ['x86_64', ['execve', 'open', 'write']],
    ['aarch64', ['execve', 'write']],
  ] as const) {
    const words = ['seccomp', path, '--arch', architecture, '-o', 'json'];
    const { code, stdout } = await northstate(context, nowhere, words);
    const shown = JSON.parse(stdout) as { container: string; calls: { name: string; when: string }[]; filter: string };
    assert.deepEqual([code, shown.container], [0, 'filtered:1.0.0']);
    assert.deepEqual(
      shown.calls,
      names.map((name) => ({ name, when: '' })),
    );
    assert.match(shown.filter, new RegExp(`filter for arch ${architecture}`));
  }
});

test('a manifest without the section lets everything in, and says so', async (context) => {
  const { code, stdout } = await northstate(context, nowhere, ['seccomp', await file('none.yaml', manifest(''))]);
  assert.deepEqual([code, stdout], [0, 'a:1.0.0 has no seccomp section: every system call is let in\n']);
});

const trace = `[pid 193911] brk(NULL)                  = 0x5572b5c8b000
1234  12:00:00.123456 openat(AT_FDCWD, "/lib/x", O_RDONLY) = -1 ENOENT (No such file or directory)
1700000000.5 delete_module(NULL, -1) = 0
[pid     7] <... wait4 resumed>NULL, 0, NULL) = 8
0.000123 clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD) = 7
--- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED} ---
+++ exited with 0 +++
unshare(CLONE_NEWNS) = 0
syscall_0x1ff(0, 0) = -1 ENOSYS
Hello, this is what it printed
`;

test('a trace gives the calls beside the default profile, or all of them', async (context) => {
  const path = await file('trace', trace);
  const beside = await northstate(context, nowhere, ['seccomp', '--from-strace', path]);
  const expected = 'seccomp:\n  profile: default\n  allow:\n    delete_module: any\n    unshare: any\n';
  assert.deepEqual([beside.code, beside.stdout], [0, expected]);
  const bare = await northstate(context, nowhere, ['seccomp', path]);
  assert.deepEqual([bare.code, bare.stdout], [0, expected]);
  assert.equal(beside.stderr, 'northstate: syscall_0x1ff is left out: no architecture has it\n');
  const all = await northstate(context, nowhere, ['seccomp', '--from-strace', path, '--no-default-profile']);
  const names = ['brk', 'clone', 'delete_module', 'openat', 'unshare', 'wait4'];
  assert.equal(all.stdout, `seccomp:\n  allow:\n${names.map((name) => `    ${name}: any\n`).join('')}`);
  for (const { stdout } of [beside, all]) {
    const linted = await northstate(context, nowhere, ['lint', '-'], manifest(stdout));
    assert.deepEqual([linted.code, linted.stdout], [0, '']);
  }
});

test('a clone that makes namespaces is beside the default profile, one that makes processes is not', async (context) => {
  const path = await file('namespaces', `${trace}clone(child_stack=NULL, flags=CLONE_NEWUSER|SIGCHLD) = 9\n`);
  const { stdout } = await northstate(context, nowhere, ['seccomp', '--from-strace', path]);
  assert.match(stdout, /^ {4}clone: any$/m);
});

test('what is no trace, and no file at all, is an error', async (context) => {
  const words = await file('words', 'nothing of strace\n');
  const bad = await northstate(context, nowhere, ['seccomp', '--from-strace', words]);
  assert.equal(bad.code, 1);
  assert.match(bad.stderr, /words names no system call \(give it the output of strace -f\)/);
  assert.equal((await northstate(context, nowhere, ['seccomp'])).code, 2);
});

test('lint and pack refuse a call that no architecture has, with its place, and warn of one that this one lacks', async (context) => {
  const text = manifest(`seccomp:\n  allow:\n    read: any\n    ${other.call}: any\n    no_such_call: any\n`);
  const path = await file('unknown.yaml', text);
  const linted = await northstate(context, nowhere, ['lint', path]);
  assert.equal(linted.code, 1);
  assert.match(
    linted.stdout,
    /unknown\.yaml:10:5: error: seccomp\.allow\.no_such_call: no architecture has this system call\n/,
  );
  assert.match(
    linted.stdout,
    new RegExp(`unknown\\.yaml:9:5: warning: seccomp\\.allow\\.${other.call}: ${ownArchitecture} does not`),
  );
  const packed = await northstate(context, nowhere, ['pack', '-m', path, '-o', directory]);
  assert.equal(packed.code, 1);
  assert.match(packed.stderr, /unknown\.yaml:10:5: seccomp\.allow\.no_such_call: no architecture/);
  const known = await file('known.yaml', text.replace('    no_such_call: any\n', ''));
  const good = await northstate(context, nowhere, ['pack', '-m', known, '-o', directory]);
  assert.equal(good.code, 0, good.stderr);
  assert.match(good.stderr, /known\.yaml:9:5: warning: seccomp\.allow\.\w+: \w+ does not have this system call/);
});
