// northstate lint, as editors and CI call it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { northstate } from './command-line.ts';

const good = 'name: a\nversion: 1.0.0\ninit: /a\nuid: 1\ngid: 1\n';
const nowhere = 'unix:///nowhere/console';

test('a good manifest is silent, one of the older dialect gets warnings, and both end with 0', async (context) => {
  const { code, stdout, stderr } = await northstate(context, nowhere, ['lint', '-'], good);
  assert.deepEqual([code, stdout, stderr], [0, '', '']);
  const old = await northstate(context, nowhere, ['lint', '-'], `${good}autostart: true\n`);
  assert.deepEqual([old.code, old.stdout], [0, '-: warning: autostart: true is autostart: relaxed\n']);
});

test('every error is told with its place and field, in the order of the text', async (context) => {
  const { code, stdout } = await northstate(
    context,
    nowhere,
    ['lint', '-'],
    'name: a\nversion: 1.0\nuid: 0\ncolour: 1\n',
  );
  assert.equal(code, 1);
  assert.deepEqual(
    stdout.split('\n').map((line) => line.split(': ', 3).join(': ')),
    ['-:1:1: error: gid', '-:2:1: error: version', '-:3:1: error: uid', '-:4:1: error: colour', ''],
  );
});

test('a document is none, and is told who checks it', async (context) => {
  const { code, stderr } = await northstate(context, nowhere, ['lint', '-'], 'apiVersion: northstate/v1\n');
  assert.equal(code, 1);
  assert.match(stderr, /- is a document, and no manifest \(.*apply --dry-run/);
});

test('-o json has errors and warnings for CI', async (context) => {
  const toml = 'name = "a"\nversion = "1.0.0"\nuid = 1\ngid = "x"\n';
  const { code, stdout } = await northstate(context, nowhere, ['lint', '-', '-o', 'json'], toml);
  assert.equal(code, 1);
  assert.deepEqual(JSON.parse(stdout), {
    file: '-',
    ok: false,
    errors: [{ line: 4, column: 1, field: 'gid', message: 'Invalid input: expected number, received string' }],
    warnings: [],
  });
});

test('what can be read but not packed is an error that names the term', async (context) => {
  const list = 'seccomp: { profile: default, allow: { mmap: !args [{ index: 2, mask: 1 }, { index: 2, mask: 2 }] } }\n';
  const { code, stdout } = await northstate(context, nowhere, ['lint', '-'], good + list);
  assert.equal(code, 1);
  assert.match(
    stdout,
    /^-:6:39: error: seccomp\.allow\.mmap: "arg2 in 0x1 \|\| arg2 in 0x2" cannot be written beside a profile/,
  );
  const unknown = await northstate(context, nowhere, ['lint', '-'], `${good}seccomp: { mmap: "arg2 & 1" }\n`);
  assert.match(unknown.stdout, /^-:6:12: error: seccomp\.mmap: "arg2 & 1" has no counterpart in the present format\n$/);
});

test('alternatives of the older dialect are no error', async (context) => {
  const seccomp = 'seccomp:\n  mmap: arg2 in ~PROT_EXEC || arg2 in ~PROT_WRITE\n';
  const { code, stdout } = await northstate(context, nowhere, ['lint', '-'], good + seccomp);
  assert.equal(code, 0, stdout);
  assert.match(stdout, /^-: warning: seccomp: system calls stand below allow/);
});

test('a field that is not known is an error wherever it stands, and a warning for those who must', async (context) => {
  const limit = 'cgroups: { memory: { limit: 100MB } }\n';
  const told = 'cgroups.memory.limit: there is no such field: it would have no effect\n';
  const strict = await northstate(context, nowhere, ['lint', '-'], good + limit);
  assert.deepEqual([strict.code, strict.stdout], [1, `-:6:22: error: ${told}`]);
  const lenient = await northstate(context, nowhere, ['lint', '-', '--allow-unknown'], good + limit);
  assert.deepEqual([lenient.code, lenient.stdout], [0, `-:6:22: warning: ${told}`]);
});

test('a soft limit above its hard one is an error', async (context) => {
  const { code, stdout } = await northstate(context, nowhere, ['lint', '-'], `${good}rlimits: { cpu: { hard: 1 } }\n`);
  assert.deepEqual(
    [code, stdout],
    [1, '-:6:12: error: rlimits.cpu: the soft limit (unlimited) is above the hard one (1)\n'],
  );
});

test('a file that is not there is an error', async (context) => {
  const { code, stdout } = await northstate(context, nowhere, ['lint', '/nowhere/manifest.yaml']);
  assert.deepEqual([code, stdout], [1, '/nowhere/manifest.yaml: error: cannot be read: ENOENT\n']);
});

test('what fits into no start is an error that names the limit', async (context) => {
  const binds = Array.from({ length: 400 }, (_, each) => `  /m${each}: { type: bind, host: /srv }\n`).join('');
  const { code, stdout } = await northstate(context, nowhere, ['lint', '-'], `${good}mounts:\n${binds}`);
  assert.equal(code, 1);
  assert.equal(stdout, '-:6:1: error: mounts: a container has at most 200 mounts, this one 400\n');
  const args = `args:\n${'- a\n'.repeat(15_000)}`;
  const long = await northstate(context, nowhere, ['lint', '-'], good + args);
  assert.match(long.stdout, /^-:6:1: error: args: arguments and variables take at most 131072 bytes together/);
});
