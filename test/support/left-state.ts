// What a runtime leaves on its disk and in runDir, by what it was asked to do: kept of each version in test/fixtures, and compared
// with what this one leaves.
import { existsSync, readdirSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { connectConsole } from '../../src/client/console-client.ts';
import { generateKeys } from '../../src/npk/signature/sign.ts';
import { northstate, run } from './command.ts';
import { probePackage } from './packages.ts';
import { eventually } from './sleeper.ts';
import { documentOf, startDaemon, type Daemon } from './test-daemon.ts';

/** `plain`: commands, and what has run. `trial`: a bad document that went back, and a schedule. `signed`: a document with a serial. `long`: one whose generations are patches. */
export type Left = 'plain' | 'trial' | 'signed' | 'long';

/** A daemon that has left it, and rests. */
export const leaving: Readonly<Record<Left, (scratch: string) => Promise<Daemon>>> = { plain, trial, signed, long };

async function plain(): Promise<Daemon> {
  const fields = 'cgroups: { parent: below }\nconsole: { permissions: full }\n';
  const packages = await Promise.all([
    probePackage({ name: 'app', args: ['print', '1', 'up', 'sleep'], fields }),
    probePackage({ name: 'other', args: ['exit', '3'] }),
  ]);
  const document = (directory: string): string =>
    documentOf(
      directory,
      "app: { version: '^1', state: running, env: { LEVEL: '1' } }",
      'other: { state: running, restart: { policy: never } }',
    );
  const daemon = await startDaemon({ packages, document });
  await daemon.untilContainer('app', 'runs', ({ phase }) => phase === 'Running');
  await daemon.untilContainer('other', 'has ended', ({ phase }) => phase === 'Exited');
  const client = await connectConsole(daemon.console, { subscribe: true });
  await client.call('stop', { name: 'app', lifetime: 'document', timeout: 60_000 });
  await client.call('start', { container: 'app:1.0.0', init: null, arguments: [], environment: {} });
  const operations = [{ op: 'add' as const, path: '/containers/other/env', value: { A: 'b' } }];
  await client.call('patch', { operations, expected: null, lifetime: 'boot' });
  await daemon.until('it rests', ({ converged }) => converged);
  client.close();
  await packagesKept(daemon);
  return daemon;
}

async function trial(): Promise<Daemon> {
  const packages = await Promise.all([
    probePackage({ name: 'app' }),
    probePackage({ name: 'app', version: '2.0.0', args: ['exit', '3'] }),
    probePackage({ name: 'tick', args: ['exit', '0'] }),
  ]);
  const document = (directory: string, version: string, more = ''): string =>
    documentOf(
      directory,
      `app: { version: ${version}, settle: 100ms${more} }`,
      'tick: { state: running, schedule: { every: 1h } }',
    );
  const daemon = await startDaemon({
    packages,
    document: (directory) => document(directory, '1.0.0'),
    configuration: 'trial: { soak: 200ms, within: 1m, boots: 1 }\n',
  });
  await daemon.until('the first document', ({ converged }) => converged);
  await apply(daemon, document(daemon.repository, '2.0.0', ', restart: { policy: never }'), daemon.directory);
  await daemon.until('back', ({ converged, trial: last }) => converged && last?.state === 'reverted');
  await packagesKept(daemon);
  return daemon;
}

async function signed(scratch: string): Promise<Daemon> {
  const { secret, public: shared } = await generateKeys(scratch, 'ours');
  const app = await probePackage({ name: 'app' });
  const daemon = await startDaemon({ packages: [app], configuration: `documentKeys: [${shared}]\n` });
  const text = documentOf(daemon.repository, 'app: { state: running }');
  const path = join(scratch, 'new.yaml');
  await writeFile(path, text.replace('repositories:', 'metadata: { serial: 5 }\nrepositories:'));
  const { code, stderr } = await run(northstate, ['sign', path, '--key', secret]);
  if (code !== 0) throw new Error(stderr);
  await daemon.run('apply', '-f', path, '--wait', '--timeout', '60s');
  await daemon.until('it rests', ({ converged, generation }) => converged && generation === 1);
  return daemon;
}

async function long(): Promise<Daemon> {
  const packages = await Promise.all([probePackage({ name: 'app' }), probePackage({ name: 'beside' })]);
  const filler = Array.from({ length: 12 }, (_, index) => `FILLER_${index}: ${'x'.repeat(1000)}`).join(', ');
  const entries = ['app: { state: running }', `beside: { state: mounted, env: { ${filler} } }`];
  const daemon = await startDaemon({ packages, document: (directory) => documentOf(directory, ...entries) });
  await daemon.untilContainer('app', 'runs', ({ phase }) => phase === 'Running');
  const client = await connectConsole(daemon.console);
  await client.call('stop', { name: 'app', lifetime: 'document', timeout: 60_000 });
  await daemon.until('it rests', ({ converged }) => converged);
  client.close();
  await packagesKept(daemon);
  return daemon;
}

/** What was read of packages is written a while after the start; not where documents must be signed. */
async function packagesKept(daemon: Daemon): Promise<void> {
  const path = join(daemon.directory, 'state/packages.read');
  await eventually('what was read of packages is kept', daemon, () => existsSync(path));
}

async function apply(daemon: Daemon, text: string, scratch: string): Promise<void> {
  const path = join(scratch, 'new.yaml');
  await writeFile(path, text);
  const { code, stderr } = await daemon.run('apply', '-f', path);
  if (code !== 0) throw new Error(stderr);
}

/** Files of it, as paths below its directory: those of stateDir and runDir that are no socket, no lock and not of an image. */
export function filesLeft(directory: string): string[] {
  const found = ['state', 'run'].flatMap((name) =>
    readdirSync(join(directory, name), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => relative(directory, join(entry.parentPath, entry.name))),
  );
  return found.filter((path) => !/^run\/(?:mounts|proof-)|\/\.lock$|\.new$/.test(path)).toSorted();
}

/** What kind of file a path is: numbers, versions, boots and hashes of names stand for all others. */
export function kindOf(path: string): string {
  return path.replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{32,}|\d+(?:\.\d+)*/g, '*');
}
