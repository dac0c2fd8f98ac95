// A device whose documents must be signed: the whole way, and every request of the protocol.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { ConsoleError, connect } from '../../../src/client/northstate.ts';
import { connectConsole } from '../../../src/client/console-client.ts';
import { requestNames, type RequestName } from '../../../src/console/protocol/protocol.ts';
import { generateKeys } from '../../../src/npk/signature/sign.ts';
import { northstate, run } from '../../support/command.ts';
import { probePackage } from '../../support/packages.ts';
import { documentOf, startDaemon, type Daemon } from '../../support/test-daemon.ts';
import { scratchDirectory } from '../../support/console/scratch.ts';

const app = await probePackage({ name: 'app', args: ['sleep'] });
const loose = await probePackage({ name: 'loose', args: ['sleep'] });

const document = (packages: string, serial: number, ...entries: string[]): string =>
  documentOf(packages, ...entries).replace('repositories:', `metadata: { serial: ${serial} }\nrepositories:`);

interface Case {
  /** What it says, the packages of the daemon, and what a request may ask for. */
  readonly body: (place: { daemon: Daemon; signed: string; generation: number }) => unknown;
  /** `done`: it may be asked as ever; `boot`: until the boot ends, whatever is the listener's default; or why not. */
  readonly outcome: 'done' | 'boot' | 'document_signed' | 'not_admitted' | 'other';
}

const container = 'app:1.0.0';
const named = { name: 'app', timeout: 60_000 };

/** Every request: one that is new has no row, and this does not compile. */
const cases: Readonly<Record<RequestName, readonly Case[]>> = {
  ident: [{ body: () => null, outcome: 'done' }],
  list: [{ body: () => null, outcome: 'done' }],
  repositories: [{ body: () => null, outcome: 'done' }],
  inspect: [{ body: () => ({ container }), outcome: 'done' }],
  get: [
    { body: () => null, outcome: 'done' },
    { body: () => ({ what: 'desired' }), outcome: 'done' },
  ],
  watch: [{ body: () => null, outcome: 'done' }],
  events: [{ body: () => null, outcome: 'done' }],
  describe: [{ body: () => ({ name: 'app' }), outcome: 'done' }],
  explain: [{ body: () => ({ name: 'app' }), outcome: 'done' }],
  history: [{ body: () => null, outcome: 'done' }],
  metrics: [{ body: () => null, outcome: 'done' }],
  report: [{ body: () => null, outcome: 'done' }],
  // Its files are root's, as the configuration is.
  reexec: [{ body: () => ({ to: '/nothing' }), outcome: 'other' }],
  plan: [{ body: ({ daemon }) => ({ document: documentOf(daemon.repository) }), outcome: 'done' }],
  logs: [{ body: () => ({ name: 'app', since: null, follow: false }), outcome: 'done' }],
  wait: [{ body: () => ({ generation: null, timeout: 60_000 }), outcome: 'done' }],
  token_create: [{ body: () => ({ target: 'app', shared: 'AAAA' }), outcome: 'done' }],
  token_verify: [{ body: () => ({ token: `${'A'.repeat(54)}==`, user: 'app', shared: 'AAAA' }), outcome: 'done' }],
  lock: [{ body: () => ({ name: 'app', ttl: 1000 }), outcome: 'done' }],
  unlock: [{ body: () => ({ name: 'app' }), outcome: 'done' }],
  stop: [
    { body: () => ({ ...named, lifetime: 'document' }), outcome: 'document_signed' },
    { body: () => named, outcome: 'boot' },
  ],
  start: [
    { body: () => start('app:1.0.0', { lifetime: 'document' }), outcome: 'document_signed' },
    { body: () => start('loose:1.0.0', {}), outcome: 'document_signed' },
    { body: () => start('app:1.0.0', {}), outcome: 'boot' },
  ],
  pause: [
    { body: () => ({ ...named, lifetime: 'document' }), outcome: 'document_signed' },
    { body: () => named, outcome: 'boot' },
  ],
  resume: [{ body: () => named, outcome: 'boot' }],
  restart: [
    { body: () => ({ ...named, lifetime: 'document' }), outcome: 'document_signed' },
    { body: () => named, outcome: 'boot' },
  ],
  update: [
    { body: () => ({ ...named, lifetime: 'document' }), outcome: 'document_signed' },
    { body: () => named, outcome: 'boot' },
  ],
  exec: [
    {
      body: () => ({ name: 'app', command: ['/nothing'], input: false, terminal: null, user: null }),
      outcome: 'done',
    },
  ],
  run_once: [
    { body: () => ({ name: 'loose', arguments: [], timeout: null }), outcome: 'document_signed' },
    { body: () => ({ name: 'app', arguments: [], timeout: null }), outcome: 'other' }, // it is running
  ],
  copy: [{ body: () => ({ name: 'app', direction: 'out', path: '/nothing' }), outcome: 'done' }],
  // Without a session there is none to steer.
  session_input: [{ body: () => ({ data: '' }), outcome: 'other' }],
  session_resize: [{ body: () => ({ rows: 1, columns: 1 }), outcome: 'other' }],
  session_signal: [{ body: () => ({ signal: 1 }), outcome: 'other' }],
  kill: [
    { body: () => ({ container, signal: 9, lifetime: 'document' }), outcome: 'document_signed' },
    { body: () => ({ container, signal: 9 }), outcome: 'boot' },
  ],
  umount: [
    { body: () => ({ containers: [container], lifetime: 'document' }), outcome: 'document_signed' },
    { body: () => ({ containers: [container] }), outcome: 'boot' },
  ],
  mount: [
    { body: () => ({ containers: [container], lifetime: 'document' }), outcome: 'document_signed' },
    { body: () => ({ containers: [container] }), outcome: 'boot' },
  ],
  install: [{ body: () => ({ repository: 'packages', size: 4 }), outcome: 'document_signed' }],
  install_source: [
    {
      body: () => ({ source: 'https://127.0.0.1:1/app.npk', repository: null }),
      outcome: 'document_signed',
    },
  ],
  uninstall: [
    { body: () => ({ container: 'loose:1.0.0', wipe: false, lifetime: 'document' }), outcome: 'document_signed' },
    { body: () => ({ container: 'loose:1.0.0', wipe: false }), outcome: 'boot' },
  ],
  patch: [
    {
      body: () => ({ merge: { containers: { app: { state: 'running' } } }, expected: null }),
      outcome: 'document_signed',
    },
    {
      body: () => ({
        operations: [{ op: 'add', path: '/containers/app/state', value: 'running' }],
        expected: null,
        lifetime: 'boot',
      }),
      outcome: 'document_signed',
    },
  ],
  apply: [
    { body: ({ daemon }) => ({ document: documentOf(daemon.repository), expected: null }), outcome: 'not_admitted' },
    { body: ({ signed }) => ({ document: signed, expected: null }), outcome: 'done' },
  ],
  // There is nothing on trial.
  confirm: [{ body: () => ({ generation: null }), outcome: 'other' }],
  revert: [{ body: () => ({ generation: null }), outcome: 'other' }],
  trial: [{ body: () => null, outcome: 'done' }],
  quarantine: [{ body: () => null, outcome: 'done' }],
  quarantine_release: [{ body: () => ({ which: null }), outcome: 'done' }],
  rollback: [
    { body: () => ({ generation: 999, expected: null }), outcome: 'document_signed' },
    { body: ({ generation }) => ({ generation, expected: null }), outcome: 'done' },
  ],
  overlay_drop: [{ body: () => ({ name: null }), outcome: 'done' }],
  shutdown: [{ body: () => null, outcome: 'done' }],
};

function start(id: string, more: object): object {
  return { container: id, init: null, arguments: [], environment: {}, ...more };
}

test('where documents must be signed: the way of one, every request, and the boots after it', async (t) => {
  const secrets = await scratchDirectory(t);
  const { secret, public: shared } = await generateKeys(secrets, 'ours');
  const first = join(secrets, 'first.yaml');
  const configuration = `documentKeys: [${shared}]\ncompatible: bench\n`;
  const entries = ['app: { version: ^1, state: running, stop: { grace: 100ms } }'];
  await using daemon = await startDaemon({ packages: [app, loose], configuration });
  assert.equal((await daemon.run('get', '-o', 'json')).code, 0);

  const refused = join(secrets, 'refused.yaml');
  await writeFile(refused, document(daemon.repository, 1, ...entries));
  const unsigned = await daemon.run('apply', '-f', refused);
  assert.equal(unsigned.code, 6, unsigned.stderr);
  assert.match(unsigned.stderr, /NotSigned: /);
  assert.equal(existsSync(daemon.document), false);

  await writeFile(first, document(daemon.repository, 5, ...entries));
  const beside = await run(northstate, ['sign', first, '--key', secret]);
  assert.deepEqual([beside.code, beside.stdout], [0, `${first}.sig\n`], beside.stderr);
  const good = await run(northstate, ['verify', first, '--key', shared]);
  assert.match(good.stdout, /serial 5, signed with key [0-9a-f]{16}\n$/);
  const applied = await daemon.run('apply', '-f', first, '--wait', '--timeout', '60s');
  assert.equal(applied.code, 0, applied.stderr);
  assert.equal(await readFile(`${daemon.document}.sig`, 'utf8'), await readFile(`${first}.sig`, 'utf8'));

  const inside = join(secrets, 'inside.yaml');
  await writeFile(inside, document(daemon.repository, 6, ...entries));
  const written = await run(northstate, ['sign', inside, '--key', secret, '--inside']);
  assert.equal(written.code, 0, written.stderr);
  const changed = join(secrets, 'changed.yaml');
  await writeFile(changed, (await readFile(inside, 'utf8')).replace('^1', '^2'));
  assert.equal((await run(northstate, ['verify', changed, '--key', shared])).code, 1);
  assert.equal((await daemon.run('apply', '-f', changed)).code, 6);
  await daemon.write(await readFile(inside, 'utf8'));
  await daemon.until('the file', ({ document: { generation } }) => generation === 2);

  const place = { daemon, signed: await readFile(inside, 'utf8'), generation: 0 };
  await using watcher = await connect({ url: daemon.console });
  const rows = Object.keys(cases) as RequestName[];
  assert.deepEqual(rows.toSorted(), requestNames.toSorted());
  for (const name of rows) {
    for (const { body, outcome } of cases[name]) {
      if (name === 'shutdown') continue;
      const before = await watcher.desired();
      const { generations } = await watcher.call('history', null);
      const { generation = 0 } = generations.find(({ inForce }) => inForce) ?? {};
      const given = body({ ...place, generation });
      let got = await ask(daemon.console, name, given);
      // A kill is answered when it is delivered.
      for (; got.includes('umount_busy'); got = await ask(daemon.console, name, given)) await delay(100);
      const said = `${name} ${JSON.stringify(given)}: ${got}`;
      if (outcome === 'document_signed') assert.match(got, /document_signed|DocumentSigned/, said);
      else if (outcome === 'not_admitted') assert.match(got, /^not_admitted: NotSigned/, said);
      else if (outcome === 'other') assert.notEqual(got, 'ok', said);
      else assert.doesNotMatch(got, /DocumentSigned|document_signed|not_admitted/, said);
      if (outcome === 'boot') assert.equal(got, 'ok', said);
      const after = await watcher.desired();
      assert.equal(after.document, before.document, `${said}: the document is as it was signed`);
      if (outcome === 'document_signed' || outcome === 'not_admitted')
        assert.deepEqual([after.generation, after.effective], [before.generation, before.effective], said);
    }
  }
  assert.equal(await readFile(daemon.document, 'utf8'), place.signed);
  assert.equal(existsSync(join(daemon.directory, 'state/boot.plan')), false, 'no plan that nobody has signed');
  assert.equal(await ask(daemon.console, 'shutdown', null), 'ok');
  assert.equal(await daemon.exited, 0);
});

/** `ok`, or the name of the error and what it says. */
async function ask(url: string, name: RequestName, body: unknown): Promise<string> {
  const client = await connectConsole(url);
  try {
    if (name === 'install') {
      const { Readable } = await import('node:stream');
      await client.install(body as Parameters<typeof client.install>[0], Readable.from([Buffer.from('none')]));
      return 'ok';
    }
    const answer: unknown = await client.call(name as 'get', body as null);
    const errors = Array.isArray(answer)
      ? answer.filter((each: unknown) => typeof each === 'object' && each !== null && 'error' in each)
      : [];
    return errors.length === 0 ? 'ok' : JSON.stringify(errors);
  } catch (error) {
    if (!(error instanceof ConsoleError)) throw new Error(name, { cause: error });
    return `${error.reason}: ${error.message}`;
  } finally {
    client.close();
  }
}
