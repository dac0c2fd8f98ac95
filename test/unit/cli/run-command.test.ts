// What `run` refuses before it becomes the launcher.
import assert from 'node:assert/strict';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { scratchDirectory } from '../../support/console/scratch.ts';
import { northstate } from './command-line.ts';

const needsRoot = process.getuid?.() === 0 ? null : /^northstate: run needs root/;

test('run refuses a bad configuration with its place', async (context) => {
  const file = join(await scratchDirectory(context), 'config.yaml');
  await writeFile(file, 'cgroup: northstate\nrunDri: /run/x\n');
  const { code, stderr } = await northstate(context, '', ['run', '--config', file]);
  assert.equal(code, 1);
  assert.match(
    stderr,
    needsRoot ?? /config\.yaml, line 2, column 1: the key "runDri" is not known here \(at: runDri: \/run\/x\)\n$/,
  );
});

test('run refuses a configuration that is not there', async (context) => {
  const file = join(await scratchDirectory(context), 'config.yaml');
  const { code, stderr } = await northstate(context, '', ['run', '--config', file]);
  assert.equal(code, 1);
  assert.match(stderr, needsRoot ?? /config\.yaml: ENOENT\n$/);
});

test('run refuses a configuration that others may write, and directories of others, and names them', async (context) => {
  const directory = await scratchDirectory(context);
  const file = join(directory, 'config.yaml');
  const open = join(directory, 'open');
  await mkdir(open);
  await chmod(open, 0o777);
  await writeFile(file, `stateDir: ${open}/state\n`);
  const state = await northstate(context, '', ['run', '--config', file]);
  assert.match(state.stderr, needsRoot ?? /open is writable by others than its owner: chmod go-w/);
  await chmod(file, 0o666);
  const config = await northstate(context, '', ['run', '--config', file]);
  assert.match(config.stderr, needsRoot ?? /config\.yaml is writable by others/);
});

test('a directory that cannot be made is named with its setting', async (context) => {
  const directory = await scratchDirectory(context);
  const file = join(directory, 'config.yaml');
  await writeFile(file, `stateDir: ${file}/state\n`);
  const { code, stderr } = await northstate(context, '', ['run', '--config', file]);
  assert.equal(code, 1);
  assert.match(
    stderr,
    needsRoot ??
      /^northstate: stateDir: \S+config\.yaml\/state cannot be made: ENOTDIR .*\(name a directory .* stateDir in the configuration\)\n$/,
  );
});

test('run refuses a listener that cannot be, before anything is started', async (context) => {
  const directory = await scratchDirectory(context);
  const file = join(directory, 'config.yaml');
  const run = async (listener: string): Promise<string> => {
    const own = ['stateDir', 'runDir', 'dataDir', 'socketDir'].map((name) => `${name}: ${directory}/${name}\n`);
    await writeFile(file, `${own.join('')}desired: ${directory}/desired.yaml\nconsole: [ ${listener} ]\n`);
    return (await northstate(context, '', ['run', '--config', file])).stderr;
  };
  const missing = `{ cert: ${directory}/none.pem, key: ${directory}/none.key, ca: ${directory}/none.pem }`;
  assert.match(
    await run(`{ listen: "tcp://127.0.0.1:1", permissions: full, tls: ${missing} }`),
    needsRoot ?? /console tcp:\/\/127\.0\.0\.1:1: tls\.cert \S+none\.pem: ENOENT/,
  );
  assert.match(
    await run(`{ listen: "unix://${file}", permissions: full }`),
    needsRoot ?? /there is something else than a socket; remove it/,
  );
});
