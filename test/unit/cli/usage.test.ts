import assert from 'node:assert/strict';
import { symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createProgram } from '../../../src/cli/program.ts';
import { printable, table } from '../../../src/cli/output.ts';
import { scratchDirectory } from '../../support/console/scratch.ts';
import { northstate } from './command-line.ts';

const nowhere = 'unix:///nowhere/console';

for (const { name, help } of createProgram().commands.map((each) => ({ name: each.name(), help: each }))) {
  test(`northstate ${name} --help says what it does, with an example`, () => {
    const chunks: string[] = [];
    help.configureOutput({ writeOut: (text) => void chunks.push(text) });
    help.outputHelp();
    const text = chunks.join('');
    assert.match(text, new RegExp(`^Usage: northstate ${name}`));
    assert.notEqual(help.description(), '');
    assert.match(text, new RegExp(`\\nExample:\\n  northstate ${name}\\b`));
  });
}

test('northstate --help lists the exit codes', async (context) => {
  const { code, stdout } = await northstate(context, nowhere, ['--help']);
  assert.equal(code, 0);
  assert.match(stdout, /3 {2}the document failed for good/);
});

test('wrong usage ends with 2 and one line', async (context) => {
  for (const args of [
    ['dance'],
    ['get', '--colour'],
    ['get', '-o', 'xml'],
    ['apply'],
    ['stop'],
    ['stop', 'a', '--timeout', 'soon'],
  ]) {
    const { code, stdout, stderr } = await northstate(context, nowhere, args);
    assert.deepEqual([code, stdout], [2, ''], args.join(' '));
    assert.match(stderr, /^northstate: [^\n]+\n$/);
  }
  const both = await northstate(context, nowhere, ['stop', 'a', '--boot', '--document']);
  assert.deepEqual([both.code, both.stderr], [2, 'northstate: --boot and --document exclude each other\n']);
});

test('without a daemon a command ends with 5 and says how to start one', async (context) => {
  const { code, stderr } = await northstate(context, nowhere, ['get']);
  assert.equal(code, 5);
  assert.match(
    stderr,
    /^northstate: nobody listens at unix:\/\/\/nowhere\/console \(start the daemon with: northstate run.*\)\n$/,
  );
});

test('a console that is no address is an error that says what to write', async (context) => {
  const { code, stderr } = await northstate(context, nowhere, ['get', '--console', 'localhost:4200']);
  assert.equal(code, 1);
  assert.match(stderr, /expected unix:\/\/\/path/);
});

test('schema prints the JSON Schema of the document, or of manifests', async (context) => {
  for (const [args, field] of [
    [['schema'], 'containers'],
    [['schema', 'manifest'], 'init'],
  ] as const) {
    const { code, stdout } = await northstate(context, nowhere, args);
    assert.equal(code, 0);
    assert.ok(field in (JSON.parse(stdout) as { properties: object }).properties);
  }
  assert.equal((await northstate(context, nowhere, ['schema', 'other'])).code, 2);
});

test('inspect of what is no package is an error that names the file', async (context) => {
  const file = fileURLToPath(import.meta.url);
  const { code, stderr } = await northstate(context, nowhere, ['inspect', file]);
  assert.equal(code, 1);
  assert.match(stderr, /^northstate: .*usage\.test\.ts: .*\n$/);
});

test('the command is found through relative and absolute symbolic links', async (context) => {
  const directory = await scratchDirectory(context);
  const entry = fileURLToPath(new URL('../../../src/cli/northstate', import.meta.url));
  await symlink(entry, join(directory, 'absolute'));
  await symlink('absolute', join(directory, 'relative'));
  const { stdout, stderr } = spawnSync(join(directory, 'relative'), ['--version'], { encoding: 'utf8' });
  assert.equal(stderr, '');
  assert.match(stdout, /^\d+\.\d+\.\d+\n$/);
});

test('columns are as wide as their cells look', async () => {
  assert.equal(
    await table([
      ['a', '\u001b[31mred\u001b[39m', 'x'],
      ['日本', 'b', ''],
    ]),
    'a     \u001b[31mred\u001b[39m  x\n日本  b\n',
  );
});

test('control characters of a container never reach the terminal', () => {
  assert.equal(printable('a\u001b[2Jb\u009bc\r\n\td'), 'a\\x1b[2Jb\\x9bc\\x0d\\x0a\td');
});
