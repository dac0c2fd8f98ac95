// The package as somebody else has it: installed below node_modules, imported by name, without types being stripped.
import assert from 'node:assert/strict';
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { packNpm } from '../../../src/release/npm.ts';
import { toTree } from '../../../state/text/tree.ts';
import { run, type Output } from '../../support/command.ts';
import { fakeRuntime } from '../../support/console/fake-runtime.ts';
import { openTestConsole, scratchDirectory } from '../../support/console/scratch.ts';

const root = join(import.meta.dirname, '../../..');
const broker = { manifest: { name: 'broker', version: '1.2.3', init: '/app' }, repository: 'system' };

/** An empty project with what `npm run release` ships for machines beside the device; nothing comes from a network. */
async function installed(context: TestContext): Promise<string> {
  const directory = await scratchDirectory(context);
  const [work, project] = [join(directory, 'work'), join(directory, 'project')];
  const modules = join(project, 'node_modules');
  await mkdir(work);
  await mkdir(modules, { recursive: true });
  const overrides = Object.fromEntries(
    ['fast-json-patch', 'koffi'].map((name) => [name, `file:${join(root, 'node_modules', name)}`]),
  );
  await writeFile(join(project, 'package.json'), JSON.stringify({ type: 'module', overrides }));
  const archive = await packNpm(root, work, directory);
  const options = ['--offline', '--ignore-scripts', '--no-audit', '--no-fund', '--cache', join(directory, 'cache')];
  const npm = await run('npm', ['install', '--prefix', project, ...options, archive]);
  assert.equal(npm.code, 0, npm.stderr);
  for (const name of ['@types', 'undici-types']) await symlink(join(root, 'node_modules', name), join(modules, name));
  return project;
}

async function examples(): Promise<string[]> {
  const readme = await readFile(join(root, 'src/client/README.md'), 'utf8');
  return [...readme.matchAll(/^```js\n([\s\S]*?)^```$/gm)].map(([, code = '']) => code);
}

/** The oldest that package.json promises, and that of the runtime. */
const nodes = [join(root, '.build/oldest-node/node'), process.execPath];

test('the oldest Node is the one that package.json promises', async () => {
  const { engines } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { engines: { node: string } };
  const { stdout } = await run(nodes[0]!, ['--version']);
  assert.equal(`>=${/^v(\d+)\.0\.0$/m.exec(stdout)?.[1]}`, engines.node);
});

test("every example of the client's README runs in a plain Node program, the oldest as well", async (context) => {
  const directory = await installed(context);
  for (const node of nodes) await runExamples(context, directory, node);
});

async function runExamples(context: TestContext, directory: string, node: string): Promise<void> {
  const codes = await examples();
  assert.equal(codes.length, 3);
  for (const [index, code] of codes.entries()) {
    const runtime = fakeRuntime({ packages: [broker] });
    runtime.tree = toTree({ containers: { broker: { state: 'running' } } });
    const url = await openTestConsole(context, runtime);
    const file = join(directory, `example-${index}.js`);
    await writeFile(file, code);
    const { code: status, stdout, stderr } = await run(node, [file], { NORTHSTATE_CONSOLE: url });
    assert.deepEqual([status, stderr], [0, '']);
    assert.match(
      stdout,
      [/'broker:1\.2\.3'[\s\S]*Installed/, /start broker[\s\S]*converged/, /started[\s\S]*started/][index]!,
    );
  }
}

test('its types are those of the answers', async (context) => {
  const directory = await installed(context);
  await writeFile(
    join(directory, 'typed.ts'),
    `import { connect, type Status } from 'northstate';
const client = await connect({ url: 'unix:///nowhere' });
const status: Status = await client.status();
const phase: 'Running' | string = status.containers['a']?.phase ?? '';
const result: 'converged' | 'failed' | 'timeout' = await client.wait({ timeout: 1 });
// @ts-expect-error: a generation is a number
const wrong: string = await client.apply('x');
// @ts-expect-error: there is no such request
await client.call('dance', null);
for await (const { sequence } of client.watch()) console.log(sequence.toFixed(), phase, result, wrong);
`,
  );
  const options = '--noEmit --strict --target esnext --module nodenext --types node --skipLibCheck';
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  const args = [tsc, '--ignoreConfig', ...options.split(' '), join(directory, 'typed.ts')];
  const { code, stdout } = await run(process.execPath, args);
  assert.equal(code, 0, stdout);
});

test('its command packs, checks and looks at packages, and says that the runtime comes another way', async (context) => {
  const directory = await installed(context);
  const command = join(directory, 'node_modules/.bin/northstate');
  const northstate = (...args: readonly string[]): Promise<Output> => run(process.execPath, [command, ...args]);
  const greeting = join(root, 'examples/greeting');
  const manifest = join(greeting, 'manifest.yaml');
  const [keys, packed] = [join(directory, 'keys'), join(directory, 'greeting-1.0.0.npk')];
  for (const args of [
    ['gen-key', '--name', 'maker', '--out', keys],
    ['lint', manifest],
    [
      'pack',
      '--manifest',
      manifest,
      '--root',
      join(greeting, 'root'),
      '--key',
      join(keys, 'maker.key'),
      '--out',
      directory,
    ],
    ['verify', packed, '--key', join(keys, 'maker.pub')],
    ['inspect', packed],
  ]) {
    const { code, stderr } = await northstate(...args);
    assert.deepEqual([code, stderr], [0, ''], args.join(' '));
  }
  const { code, stderr } = await northstate('run');
  assert.equal(code, 1);
  assert.match(stderr, /launcher .*ENOENT \(the runtime comes with the Debian package or the archive/);
});

test('its files for build systems find its command', async (context) => {
  const directory = await installed(context);
  const bin = join(directory, 'node_modules/.bin');
  const cargo = await run(join(bin, 'cargo-npk'), ['npk', 'version']);
  assert.match(cargo.stdout, /^cargo-npk \d/, cargo.stderr);
  for (const [system, file] of [
    ['cmake', 'NorthstateConfig.cmake'],
    ['make', 'northstate.mk'],
  ] as const) {
    const { stdout } = await run(join(bin, 'northstate'), ['path', system]);
    assert.ok((await readFile(join(stdout.trim(), file), 'utf8')).includes('northstate'));
  }
});
