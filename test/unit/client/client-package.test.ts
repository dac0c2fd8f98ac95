// The package as somebody else has it: installed below node_modules, imported by name, without types being stripped.
import assert from 'node:assert/strict';
import { cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { toTree } from '../../../state/text/tree.ts';
import { run } from '../../support/command.ts';
import { fakeRuntime } from '../../support/console/fake-runtime.ts';
import { openTestConsole, scratchDirectory } from '../../support/console/scratch.ts';

const root = join(import.meta.dirname, '../../..');
const broker = { manifest: { name: 'broker', version: '1.2.3', init: '/app' }, repository: 'system' };

async function installed(context: TestContext): Promise<string> {
  const directory = await scratchDirectory(context);
  const modules = join(directory, 'node_modules');
  await mkdir(join(modules, 'northstate/.build'), { recursive: true });
  await cp(join(root, 'package.json'), join(modules, 'northstate/package.json'));
  for (const part of ['bundle', 'types']) {
    await cp(join(root, '.build', part), join(modules, 'northstate/.build', part), { recursive: true });
  }
  // What the types name of others.
  for (const name of ['@types', 'fast-json-patch', 'immer', 'undici-types', 'yaml', 'zod']) {
    await symlink(join(root, 'node_modules', name), join(modules, name));
  }
  await writeFile(join(directory, 'package.json'), '{"type":"module"}');
  return directory;
}

async function examples(): Promise<string[]> {
  const readme = await readFile(join(root, 'src/client/README.md'), 'utf8');
  return [...readme.matchAll(/^```js\n([\s\S]*?)^```$/gm)].map(([, code = '']) => code);
}

test("every example of the client's README runs in a plain Node program", async (context) => {
  const directory = await installed(context);
  const codes = await examples();
  assert.equal(codes.length, 3);
  for (const [index, code] of codes.entries()) {
    const runtime = fakeRuntime({ packages: [broker] });
    runtime.tree = toTree({ containers: { broker: { state: 'running' } } });
    const url = await openTestConsole(context, runtime);
    const file = join(directory, `example-${index}.js`);
    await writeFile(file, code);
    const { code: status, stdout, stderr } = await run(process.execPath, [file], { NORTHSTATE_CONSOLE: url });
    assert.deepEqual([status, stderr], [0, '']);
    assert.match(
      stdout,
      [/'broker:1\.2\.3'[\s\S]*Installed/, /start broker[\s\S]*converged/, /started[\s\S]*started/][index]!,
    );
  }
});

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
