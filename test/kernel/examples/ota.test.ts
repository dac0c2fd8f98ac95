// The updater of examples/ota against a real daemon: killed at every line, cut off from its server, with a container that dies. The
// device ends with what the document says or with what was before, and the server is told which, and why.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { run } from '../../support/command.ts';
import { fileServer, type FileServer } from '../../support/file-server.ts';
import { openDescriptors } from '../../support/leaks.ts';
import { bulk, keyPair, probePackage } from '../../support/packages.ts';
import { cutPower } from '../../support/reboot.ts';
import { endsClean, running, runningAs } from '../../support/scenario.ts';
import { documentOf, startDaemon, type Daemon } from '../../support/test-daemon.ts';

const ota = join(import.meta.dirname, '../../../examples/ota');
const key = await keyPair('vendor');
const app = (version: string, ...args: string[]) =>
  probePackage({ name: 'app', version, args: ['print', '1', version, ...args], key: 'vendor', files });
const files = { 'big.txt': bulk(400_000) };
const first = await app('1.0.0', 'sleep');

/** What the server was told: the outcomes, with their reasons. */
interface Reports {
  readonly outcomes: string[];
  readonly reasons: (string | null)[];
}

/** A server that takes reports; `isGone`: nobody reaches it. */
async function open(): Promise<FileServer & { reports: Reports; isGone: boolean }> {
  const server = await fileServer({});
  const reports: Reports = { outcomes: [], reasons: [] };
  const opened = Object.assign(server, { reports, isGone: false });
  server.misbehave = (request, response) => {
    if (opened.isGone) {
      response.destroy();
      return true;
    }
    if (request.method !== 'POST') return false;
    let body = '';
    request.setEncoding('utf8').on('data', (text: string) => (body += text));
    request.on('end', () => {
      const { outcome, reason } = JSON.parse(body) as { outcome: string; reason: string | null };
      reports.outcomes.push(outcome);
      reports.reasons.push(reason);
      response.end();
    });
    return true;
  };
  return opened;
}

/** Puts a bundle on the server. */
async function publish(server: FileServer, daemon: Daemon, document: string, ...packages: string[]): Promise<void> {
  const [file, out] = [join(daemon.directory, 'next.yaml'), join(daemon.directory, 'www')];
  await writeFile(file, document);
  const options = ['--document', file, '--url', server.url('').href, '--key', key.secret, '--out', out];
  const made = await run(process.execPath, [join(ota, 'make-bundle.ts'), ...options, '--before', first, ...packages]);
  assert.equal(made.code, 0, made.stderr);
  for (const name of await readdir(out)) server.files.set(name, await readFile(join(out, name)));
}

const documentWith = (daemon: { readonly repository: string }, head: string, ...entries: string[]): string =>
  documentOf(daemon.repository, ...entries).replace('repositories:', `${head}\nrepositories:`);

const serial = (number: number, trial = ''): string => `metadata: { serial: ${number} }${trial}`;

/** Runs the updater; it is killed when `until` says so of a line. */
async function update(daemon: Daemon, server: FileServer, until: (line: string) => boolean = () => false) {
  const args = [join(ota, 'update.ts'), server.url('').href, '--timeout', '60', '--console', daemon.console];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const lines: string[] = [];
  let stderr = '';
  createInterface({ input: child.stdout }).on('line', (line) => {
    lines.push(line);
    if (until(line)) child.kill('SIGKILL');
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  await once(child, 'close');
  return { code: child.exitCode, lines, stderr };
}

const configuration = `documentKeys: [${key.public}]\n`;

/** A device whose documents must be signed, with app 1.0.0 confirmed. */
async function withDevice(body: (daemon: Daemon, server: Awaited<ReturnType<typeof open>>) => Promise<void>) {
  const before = openDescriptors();
  await using daemon = await startDevice();
  {
    await using server = await open();
    await body(daemon, server);
  }
  await endsClean(daemon, before);
}

async function startDevice(): Promise<Daemon> {
  const daemon = await startDaemon({
    packages: [first],
    document: (directory) => documentOf(directory),
    configuration,
  });
  const seed = join(daemon.directory, 'seed.yaml');
  await writeFile(seed, documentWith(daemon, serial(1), 'app: { version: 1.0.0 }'));
  for (const words of [
    ['sign', seed, '--key', key.secret, '--inside'],
    ['apply', '-f', seed],
  ]) {
    const { code, stderr } = await daemon.run(...words);
    assert.equal(code, 0, stderr);
  }
  await running(daemon, 'app');
  return daemon;
}

const manual = (within: string): string => `\ntrial: { confirm: manual, soak: 0s, within: ${within} }`;
const health = '\ntrial: { confirm: health, soak: 5s, within: 2m }';

test('an updater that is killed at every line and run again brings the device to its document, and says so', async () => {
  await withDevice(async (daemon, server) => {
    await publish(
      server,
      daemon,
      documentWith(daemon, serial(2, manual('5m')), 'app: { version: 2.0.0 }'),
      await app('2.0.0', 'sleep'),
    );
    for (const end of [/^applied/, /^ready/, /^the server is there/]) {
      const { code, lines, stderr } = await update(daemon, server, (line) => end.test(line));
      assert.equal(code, null, [...lines, stderr].join('\n'));
      assert.deepEqual(server.reports.outcomes, []);
    }
    const { code, lines, stderr } = await update(daemon, server);
    assert.equal(code, 0, stderr);
    assert.equal(lines.at(-1), 'confirmed');
    await runningAs(daemon, 'app', '2.0.0');
    assert.equal((await update(daemon, server)).code, 0, 'once more it is only told');
    assert.deepEqual(server.reports.outcomes, ['confirmed', 'confirmed']);
  });
});

test('with the power at every line, it is run again and completes, or tells what was taken back', async () => {
  await using server = await open();
  for (const isGood of [true, false]) {
    let daemon = await startDevice();
    try {
      const said = isGood ? manual('5m') : health;
      const document = documentWith(daemon, serial(2, said), 'app: { version: 2.0.0, restart: { policy: never } }');
      await publish(
        server,
        daemon,
        document,
        await app('2.0.0', ...(isGood ? ['sleep'] : ['wait', '3000', 'exit', '4'])),
      );
      server.reports.outcomes.length = server.reports.reasons.length = 0;
      const lines = isGood ? [/^applied/, /^ready/, /^the server is there/] : [/^applied/];
      for (const end of lines) {
        let isCut: Promise<void> | undefined;
        await update(daemon, server, (line) => {
          if (end.test(line)) isCut ??= cutPower(daemon);
          return end.test(line);
        });
        assert.ok(isCut !== undefined, String(end));
        await isCut;
        daemon = await startDaemon({ packages: [], directory: daemon.directory, configuration });
      }
      const { code, lines: told, stderr } = await update(daemon, server);
      assert.equal(code, isGood ? 0 : 3, [...told, stderr].join('\n'));
      assert.deepEqual(server.reports.outcomes, [isGood ? 'confirmed' : 'reverted']);
      assert.match(server.reports.reasons[0] ?? '', isGood ? /^$/ : /app: .*exit code 4/);
      await runningAs(daemon, 'app', isGood ? '2.0.0' : '1.0.0');
    } finally {
      await daemon[Symbol.asyncDispose]();
    }
  }
});

test('a document that cuts the device off from its server goes back by itself; the server is told once it is there', async () => {
  await withDevice(async (daemon, server) => {
    await publish(
      server,
      daemon,
      documentWith(daemon, serial(2, manual('10s')), 'app: { version: 2.0.0 }'),
      await app('2.0.0', 'sleep'),
    );
    const cut = await update(daemon, server, (line) => {
      if (line.startsWith('ready')) server.isGone = true;
      return false;
    });
    assert.equal(cut.code, 1, cut.lines.join('\n'));
    assert.ok(cut.lines.some((line) => line.startsWith('the server is not there')));
    await runningAs(daemon, 'app', '1.0.0');
    server.isGone = false;
    const { code, lines } = await update(daemon, server);
    assert.equal(code, 3);
    assert.match(lines.at(-1) ?? '', /^reverted: .*confirmed/);
    assert.deepEqual(server.reports.outcomes, ['reverted']);
  });
});

test('a bundle whose container dies within the soak is taken back and quarantined, and the server is told why', async () => {
  await withDevice(async (daemon, server) => {
    const dying = 'app: { version: 2.0.0, restart: { policy: never } }';
    await publish(
      server,
      daemon,
      documentWith(daemon, serial(2, health), dying),
      await app('2.0.0', 'wait', '3000', 'exit', '7'),
    );
    const { code, lines } = await update(daemon, server);
    assert.equal(code, 3, lines.join('\n'));
    await runningAs(daemon, 'app', '1.0.0');
    assert.deepEqual(server.reports.outcomes, ['reverted']);
    assert.match(server.reports.reasons[0] ?? '', /app.*7/);
    assert.match((await daemon.run('quarantine')).stdout, /package +app:2\.0\.0/);
    assert.equal((await update(daemon, server)).code, 3, 'once more it is only told');
    assert.deepEqual(server.reports.outcomes, ['reverted', 'reverted']);

    // The next one.
    const good = documentWith(daemon, serial(3, health), 'app: { version: 3.0.0 }');
    await publish(server, daemon, good, await app('3.0.0', 'sleep'));
    const next = await update(daemon, server);
    assert.equal(next.code, 0, [...next.lines, next.stderr].join('\n'));
    await runningAs(daemon, 'app', '3.0.0');
  });
});

test('a document that nobody has signed, or an older one, changes nothing, and the server is told', async () => {
  await withDevice(async (daemon, server) => {
    const before = await readFile(daemon.document, 'utf8');
    await publish(server, daemon, documentWith(daemon, serial(2), 'app: { version: 1.0.0, env: { A: b } }'));
    const signed = server.files.get('desired.yaml')?.toString() ?? '';
    server.files.set('desired.yaml', Buffer.from(signed.replace('A: b', 'A: c')));
    assert.equal((await update(daemon, server)).code, 3);
    await publish(server, daemon, documentWith(daemon, serial(0), 'app: { version: 1.0.0, env: { A: b } }'));
    assert.equal((await update(daemon, server)).code, 3);
    assert.deepEqual(server.reports.outcomes, ['refused', 'refused']);
    assert.match(server.reports.reasons[0] ?? '', /sign/);
    assert.match(server.reports.reasons[1] ?? '', /serial/);
    assert.equal(await readFile(daemon.document, 'utf8'), before);
  });
});
