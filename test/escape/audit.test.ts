// What the audit of Northstar 0.6 found (ESR-01), as far as it is about consoles, seccomp and memory; from containers where
// they are who would do it. 003, 005, 007, 011 (PID 1) and 014 are in escapes.test.ts, 006 is among the mounts
// (test/support/mount-cases.ts), 010 in every report: descriptors 0 to 2.
import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { after, afterEach, before, test } from 'node:test';
import { seccompRules } from '../../controllers/sandbox/seccomp-profile.ts';
import { bulk, probePackage } from '../support/packages.ts';
import { running } from '../support/scenario.ts';
import { openCells, type Cells } from './cells.ts';

const consoleOf = (...permissions: readonly string[]) => `console: { permissions: [${permissions.join(', ')}] }\n`;
const cellsOf = [
  { name: 'caller', fields: consoleOf('start', 'list') },
  { name: 'installer', fields: consoleOf('install') },
  { name: 'maker', fields: consoleOf('token_create', 'ident') },
  { name: 'checker', fields: consoleOf('token_verification', 'ident') },
  { name: 'target', fields: '' },
  { name: 'bystander', fields: '' },
];
const hello = '{"connect":{"version":"0.9.2","subscribe_notifications":false}}';
const acknowledged = '{"connect_ack":null}';
const request = (body: unknown): string => JSON.stringify({ request: body });
let cells: Cells;
let undisturbed: readonly (number | null)[];

const pids = async () => [cells.daemon.reconciler(), (await running(cells.daemon, 'bystander')).pid];

before(async () => {
  cells = await openCells(cellsOf);
  await cells.begin('bystander', 'here', 'say', 'here');
  undisturbed = await pids();
});
after(() => cells[Symbol.asyncDispose]());
afterEach(async () => assert.deepEqual(await pids(), undisturbed));

test('001: who may start may not say what is started, with which arguments and in which environment', async () => {
  const start = { container: 'target:1.0.0', init: null, arguments: [] as string[], environment: {} };
  const starts = [
    { ...start, arguments: ['0', 'say', 'injected'] },
    { ...start, init: '/proc/self/exe' },
    { ...start, environment: { LD_PRELOAD: '/data/evil.so' } },
  ].map((body) => ({ start: body }));
  const said = await cells.said('caller', 'speak', hello, ...starts.map(request), request('list'));
  assert.equal(said[0], acknowledged);
  for (const [index, body] of starts.entries()) {
    assert.deepEqual(JSON.parse(said[index + 1] ?? ''), { response: { permission_denied: body } });
  }
  assert.match(said[4] ?? '', /^\{"response":\{"list":/);
  const { containers } = await cells.daemon.until('a status', () => true);
  assert.equal(containers['target']?.phase, 'Mounted');
});

test('002: an installation that stalls holds up nobody', async () => {
  await cells.begin(
    'installer',
    'stalled',
    'stall',
    hello,
    request({ install: { repository: 'packages', size: 90_000 } }),
  );
  const other = await probePackage({ name: 'other' });
  const { code, stderr } = await cells.daemon.run('install', other, 'packages');
  assert.equal(code, 0, stderr);
  await cells.end('installer');
});

test('008: the console that there is without being asked for belongs to root alone', () => {
  const { mode, uid } = statSync(cells.daemon.console.replace('unix://', ''));
  assert.deepEqual([uid, mode & 0o077], [0, 0]);
});

test('009: a repository in memory takes no more than it has room for', async () => {
  const text = `apiVersion: northstate/v1
repositories:
  packages: { type: fs, dir: ${cells.daemon.repository} }
  memory: { type: mem, capacity: { size: 100kB } }
containers:
${cellsOf.map(({ name }) => `  ${name}: { state: ${name === 'bystander' ? 'running' : 'mounted'}, restart: { policy: never } }\n`).join('')}...
`;
  await cells.daemon.write(text);
  await cells.daemon.until('the repository', ({ repositories }) => 'memory' in repositories);
  const big = await probePackage({ name: 'big', files: { filler: bulk(400_000) } });
  const { code, stderr } = await cells.daemon.run('install', big, 'memory');
  assert.notEqual(code, 0);
  assert.match(stderr, /memory/);
});

test('011: bytes that are no message end the connection, and nothing else', async () => {
  assert.equal((await cells.said('caller', 'babble')).at(-1), 'hung up');
  const long = 'x'.repeat(60_000);
  assert.deepEqual(await cells.said('caller', 'speak', hello, `{"request":"${long}"}`), [acknowledged, 'hung up']);
});

test('012: a token is worth something to the one that it was made for, and for the one that made it', async () => {
  const shared = Buffer.from('shared').toString('base64');
  const make = (target: string) => request({ token_create: { target, shared } });
  const said = await cells.said('maker', 'speak', hello, make('checker'), make('target'));
  const tokens = said.slice(1).map((line) => (JSON.parse(line) as { response: { token: string } }).response.token);
  const check = (token: string | undefined, user: string) => request({ token_verify: { token, user, shared } });
  const [own, others] = tokens;
  const answers = await cells.said(
    'checker',
    'speak',
    hello,
    ...[check(own, 'maker'), check(own, 'caller'), check(others, 'maker')],
  );
  const verified = (answer: string) => `{"response":{"token_verification":"${answer}"}}`;
  assert.deepEqual(answers, [acknowledged, verified('Ok'), verified('Invalid'), verified('Invalid')]);
});

test('013: CAP_NET_ADMIN lets in no call', () => {
  const names = (rules: ReadonlyMap<string, unknown>) => [...rules].map(([name, rule]) => `${name} ${typeof rule}`);
  const profile = { profile: 'default' } as const;
  assert.deepEqual(names(seccompRules(profile, ['CAP_NET_ADMIN'])), names(seccompRules(profile, [])));
  assert.notDeepEqual(names(seccompRules(profile, ['CAP_SYS_ADMIN'])), names(seccompRules(profile, [])));
});
