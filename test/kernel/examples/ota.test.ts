// The updater of examples/ota against a real daemon: killed at many points and run again, it completes or goes back.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { run } from '../../support/command.ts';
import { documentOf, type Daemon } from '../../support/test-daemon.ts';
import { bulk, keyPair, probePackage } from '../../support/packages.ts';
import { running, runningAs, withDaemon } from '../../support/scenario.ts';

const ota = join(import.meta.dirname, '../../../examples/ota');
const files = { 'big.txt': bulk(400_000) };
const app = (version: string) => probePackage({ name: 'app', version, args: ['print', '1', version, 'sleep'], files });
const key = await keyPair('vendor');

/** An HTTP server of a directory; `meet` is told of each request, and may cut its answer off after so many bytes. */
async function serve(directory: string) {
  let meet: (file: string, from: number) => number = () => Infinity;
  const asked: string[] = [];
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const file = (request.url ?? '').slice(1);
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
    asked.push(`${file} ${from}`);
    const bytes = (await readFile(join(directory, file))).subarray(from);
    const length = meet(file, from);
    response.writeHead(from > 0 ? 206 : 200, { 'content-length': bytes.length });
    response.write(bytes.subarray(0, length), () => {
      if (length >= bytes.length) response.end();
      else if (length > 0) response.destroy(); // with nothing the answer stays open: the server has stalled
    });
  };
  const server = createServer((request, response) => void answer(request, response)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/`,
    asked,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close');
      server.close().closeAllConnections();
      await closed;
    },
    when(then: typeof meet) {
      meet = then;
    },
  };
}

async function makeBundle(out: string, document: string, ...packages: readonly string[]): Promise<void> {
  const file = `${out}.yaml`;
  await writeFile(file, document);
  const options = ['--document', file, '--repository', 'packages', '--key', key.secret, '--out', out];
  const made = await run(process.execPath, [join(ota, 'make-bundle.ts'), ...options, ...packages]);
  assert.equal(made.code, 0, made.stderr);
}

interface Ended {
  readonly code: number | null;
  readonly lines: readonly string[];
  readonly stderr: string;
}

/** Runs the updater; it is killed when `until` says so of a line, or when `kill` is called. */
function update(daemon: Daemon, url: string, until: (line: string) => boolean = () => false) {
  const progress = join(daemon.directory, 'ota.json');
  const args = [join(ota, 'update.ts'), url, '--key', key.public, '--progress', progress, '--timeout', '20'];
  const child = spawn(process.execPath, [...args, '--console', daemon.console], { stdio: ['ignore', 'pipe', 'pipe'] });
  const lines: string[] = [];
  let stderr = '';
  createInterface({ input: child.stdout }).on('line', (line) => {
    lines.push(line);
    if (until(line)) child.kill('SIGKILL');
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const ended = once(child, 'close').then((): Ended => ({ code: child.exitCode, lines, stderr }));
  return { ended, kill: () => child.kill('SIGKILL') };
}

test('an updater that is killed at every step and run again brings the device to the bundle', async () => {
  await withDaemon([await app('1.0.0')], ['app: { version: 1.0.0, state: running }'], async (daemon) => {
    await running(daemon, 'app');
    const out = join(daemon.directory, 'bundle');
    const document = documentOf(daemon.repository, 'app: { version: 2.0.0, state: running }');
    await makeBundle(out, document, await app('2.0.0'));
    await using server = await serve(out);

    // Killed before it knows the bundle, and in the middle of a package: the server has stopped sending.
    for (const [file, sent] of [
      ['bundle.json', 0],
      ['app-2.0.0.npk', 0],
    ] as const) {
      const updater = update(daemon, server.url);
      server.when((asked) => {
        if (asked === file) updater.kill();
        return asked === file ? sent : Infinity;
      });
      assert.equal((await updater.ended).code, null);
      assert.equal((await runningAs(daemon, 'app', '1.0.0')).version, '1.0.0');
    }
    // A connection that breaks is taken up where it broke.
    server.when((file, from) => (file === 'app-2.0.0.npk' && from === 0 ? 100_000 : Infinity));
    assert.equal((await update(daemon, server.url, (line) => line.startsWith('installed')).ended).code, null);
    assert.ok(
      server.asked.some((each) => /^app-2\.0\.0\.npk [1-9]/.test(each)),
      server.asked.join(),
    );
    assert.equal((await update(daemon, server.url, (line) => line.startsWith('applied')).ended).code, null);

    const { code, lines, stderr } = await update(daemon, server.url).ended;
    assert.equal(code, 0, stderr);
    assert.deepEqual(lines, ['bundle verified', 'present app:2.0.0', 'converged']);
    await runningAs(daemon, 'app', '2.0.0');
    assert.equal(await readFile(daemon.document, 'utf8'), document);
    const again = await update(daemon, server.url).ended;
    assert.deepEqual([again.code, again.lines.at(-1)], [0, 'converged']);
  });
});

test('a bundle that is not reached gives way to what was before, also when the updater is killed on the way back', async () => {
  const broken = await probePackage({ name: 'broken', fields: 'init: /missing' });
  await withDaemon([await app('1.0.0')], ['app: { version: 1.0.0, state: running }'], async (daemon) => {
    const { pid } = await running(daemon, 'app');
    const out = join(daemon.directory, 'bundle');
    const entries = ['app: { version: 1.0.0, state: running }', 'broken: { version: 1.0.0, state: running }'];
    await makeBundle(out, documentOf(daemon.repository, ...entries), broken);
    await using server = await serve(out);
    assert.equal((await update(daemon, server.url, (line) => line.startsWith('not reached')).ended).code, null);
    const { code, lines } = await update(daemon, server.url).ended;
    assert.deepEqual([code, lines.at(-1)], [3, 'rolled back: converged']);
    await daemon.until(
      'what was before is back',
      ({ converged, containers }) => converged && !('broken' in containers),
    );
    assert.equal((await running(daemon, 'app')).pid, pid);
  });
});

test('a bundle of another signer, and a package with other bytes, change nothing', async () => {
  await withDaemon([], [], async (daemon) => {
    const out = join(daemon.directory, 'bundle');
    await makeBundle(out, documentOf(daemon.repository, 'app: {}'), await app('1.0.0'));
    await using server = await serve(out);
    const before = await readFile(daemon.document, 'utf8');
    const file = join(out, 'app-1.0.0.npk');
    const bytes = await readFile(file);
    await writeFile(file, bytes.with(bytes.length - 1, (bytes.at(-1) ?? 0) ^ 1));
    const other = await update(daemon, server.url).ended;
    assert.equal(other.code, 1);
    assert.match(other.stderr, /is not the file that the bundle names/);
    await writeFile(join(out, 'bundle.sig'), Buffer.alloc(64).toString('base64'));
    const unsigned = await update(daemon, server.url).ended;
    assert.equal(unsigned.code, 1);
    assert.match(unsigned.stderr, /not signed with this key/);
    assert.equal(await readFile(daemon.document, 'utf8'), before);
    assert.equal((await daemon.run('list')).stdout, '');
  });
});
