// Containers that take all there is: of processes, memory, descriptors and watches. Their limits hold, and beside them
// another container and the runtime go on.
import assert from 'node:assert/strict';
import { readdirSync, statSync } from 'node:fs';
import { after, afterEach, before, test } from 'node:test';
import { documentOf } from '../support/test-daemon.ts';
import { running } from '../support/scenario.ts';
import { openCells, type Cells } from './cells.ts';

/** Ids that no other test has: limits of processes and watches are counted by user. */
const uid = 61_337;
const own = `uid: ${uid}\ngid: ${uid}\n`;
const cellsOf = [
  { name: 'group', fields: 'uid: 61338\ngid: 61338\ncgroups: { pids: { max: 30 } }\n' },
  { name: 'forks', fields: `${own}rlimits: { nproc: { soft: 40, hard: 40 } }\n` },
  {
    name: 'memory',
    fields: `${own}cgroups: { memory: { memory_hard_limit: 20000000, memory_swap_limit: 20000000 } }\n`,
  },
  { name: 'descriptors', fields: `${own}rlimits: { nofile: { soft: 64, hard: 256 } }\n` },
  { name: 'watches', fields: 'uid: 61339\ngid: 61339\n' },
  { name: 'bystander', fields: '' },
];
let cells: Cells;
let undisturbed: number | null;

before(async () => {
  cells = await openCells(cellsOf);
  await cells.begin('bystander', 'here', 'say', 'here');
  undisturbed = (await running(cells.daemon, 'bystander')).pid;
});
after(() => cells[Symbol.asyncDispose]());

/** The runtime still answers, starts containers, and has restarted none. */
afterEach(async () => {
  assert.equal((await cells.daemon.run('get')).code, 0);
  assert.equal((await running(cells.daemon, 'bystander')).pid, undisturbed);
});

/** Processes of a user on the host. */
function processesOf(user: number): number {
  return readdirSync('/proc').filter(
    (pid) => /^\d+$/.test(pid) && statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid === user,
  ).length;
}

for (const [name, user, most] of [
  ['forks', uid, 40],
  ['group', 61_338, 30],
] as const) {
  test(`processes end where the limit of ${name} is, and all of them with the container`, async () => {
    await cells.begin(name, 'fork: EAGAIN', 'forks');
    const count = processesOf(user);
    assert.ok(count > most / 2 && count <= most + 1, `${count} processes`);
    await cells.end(name);
    assert.equal(processesOf(user), 0);
  });
}

test('memory ends where the limit is', async () => {
  assert.deepEqual((await cells.run('memory', 'memory')).exit, { signalled: { signal: 9 } });
});

test('descriptors end where the limit is, and the runtime still opens its own', async () => {
  await cells.begin('descriptors', 'socket: EMFILE', 'descriptors');
  const { pid } = await running(cells.daemon, 'descriptors');
  // Those of the init are as many as before: it holds its own alone.
  assert.ok(readdirSync(`/proc/${pid}/fd`).length < 4);
  await cells.end('descriptors');
});

test('a user without watches left takes none from the runtime, which sees the next document', async () => {
  await cells.begin('watches', 'inotify_init: EMFILE', 'watches');
  const { generation } = await cells.daemon.until('some status', () => true);
  const entries = cellsOf.map(({ name }) => `${name}: { state: ${name === 'bystander' ? 'running' : 'mounted'} }`);
  await cells.daemon.write(documentOf(cells.daemon.repository, ...entries));
  await cells.daemon.until('the next generation', (status) => status.generation > generation);
});
