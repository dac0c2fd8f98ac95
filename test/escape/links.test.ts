// Links that a container puts where root goes by: when its data is wiped, and when another container's bind is resolved.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { chmod, copyFile, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { run } from '../support/command.ts';
import { enterMountNamespace } from '../support/namespace.ts';
import { openCells, type Cells } from './cells.ts';
import { hostilePackage } from './payload.ts';

enterMountNamespace();

// In this namespace alone, and always at the same place: packages that name it are packed once.
const host = '/mnt';
await run('mount', ['-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', host]);
const outside = join(host, 'outside');
const shared = join(host, 'shared');
const precious = ['one', 'two', 'three'];
await mkdir(outside);
for (const name of precious) await writeFile(join(outside, name), 'of the host');
await mkdir(join(shared, 'sub'), { recursive: true });
await chmod(shared, 0o777);

const data = 'mounts: { /data: { type: persist } }\n';
const bind = (path: string, options: string) =>
  `mounts: { /bound: { type: bind, host: ${path}, options: ${options} } }\n`;
const keepers = ['keeper', 'keeper2', 'keeper3', 'keeper4', 'keeper5'];
const cellsOf = [
  ...keepers.map((name) => ({ name, fields: data })),
  { name: 'other', fields: bind(join(host, 'keeper'), 'rw') },
  { name: 'writer', fields: bind(shared, 'rw') },
  { name: 'reader', fields: bind(join(shared, 'x'), 'rw') },
];
const next = hostilePackage(`name: keeper\nversion: 2.0.0\ninit: /escape\nuid: 1000\ngid: 1000\n${data}`);
let cells: Cells;

before(async () => {
  cells = await openCells(cellsOf);
});
after(() => cells[Symbol.asyncDispose]());

async function installNext(): Promise<void> {
  await copyFile(await next, join(cells.daemon.repository, '.next'));
  await run('mv', [join(cells.daemon.repository, '.next'), join(cells.daemon.repository, 'keeper-2.0.0.npk')]);
  await cells.daemon.until(
    'the next version is there',
    ({ repositories }) => repositories['packages']?.packages === keepers.length + 4,
  );
}

/** The keeper's data, and what an interrupted wipe would have left. */
function dataOf(): string[] {
  return readdirSync(join(cells.daemon.directory, 'data')).filter((name) => /keeper|removed/.test(name));
}

test('data is not wiped with one version while another is there or runs on it', async () => {
  await installNext();
  await cells.begin('keeper', 'exchange: done', 'exchange', '/data', outside);
  const { code, stderr } = await cells.daemon.run('uninstall', 'keeper:2.0.0', '--wipe');
  assert.equal(code, 0, stderr);
  assert.match(stderr, /the persistent data of keeper stays for keeper:1\.0\.0/);
  assert.deepEqual(readdirSync(outside).sort(), [...precious].sort());
  assert.deepEqual(dataOf(), ['keeper']);
  await cells.end('keeper');
});

test('a wipe does not leave the data, though a container makes links of its directories meanwhile', async () => {
  for (const keeper of keepers) {
    await cells.said(keeper, 'roots');
    // root's own, and followed as such: the way to what the keeper owns.
    await symlink(join(cells.daemon.directory, 'data', keeper), join(host, 'keeper'));
    await cells.begin('other', 'exchange: done', 'exchange', '/bound', outside);
    const { code, stderr } = await cells.daemon.run('uninstall', `${keeper}:1.0.0`, '--wipe');
    assert.deepEqual([code, stderr], [0, '']);
    await cells.end('other');
    assert.deepEqual(readdirSync(outside).sort(), [...precious].sort());
    assert.deepEqual(dataOf(), []);
    await rm(join(host, 'keeper'));
  }
});

test('a bind follows no link that another container has made, and says where it is', async () => {
  await symlink(outside, join(shared, 'x'));
  const refused = await cells.startAs('reader', '', ['0', 'roots']);
  assert.ok(
    refused.includes(`${join(shared, 'x')} is a link below a directory that others than root may write`),
    refused,
  );
  await rm(join(shared, 'x'));

  await cells.begin('writer', 'exchange: done', 'exchange', '/bound', outside);
  const outcomes: string[] = [];
  for (let round = 0; round < 12; round++) {
    const tried = await cells.startAs('reader', '', [String(round), 'open', '/bound/one']).catch(String);
    outcomes.push(tried);
    if (tried === '0') {
      const log = await cells.daemon.run('logs', 'reader');
      assert.doesNotMatch(log.stdout, /one: done/);
    }
  }
  await cells.end('writer');
  assert.ok(outcomes.includes('0'), outcomes.join('; '));
});
