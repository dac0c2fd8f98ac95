// bench/rest: what the runtime weighs asleep and awake, how often it wakes when nothing happens and for what does, and what of all
// this is written to the disk. What a wake takes is bench/wake.
import { readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pass } from 'node:timers/promises';
import { connectConsole } from '../../src/client/console-client.ts';
import { probePackage } from '../support/packages.ts';
import { asleep, statusOf, wokenBy } from '../support/sleeper.ts';
import { documentOf, startDaemon, type Daemon } from '../support/test-daemon.ts';
import { installOwn } from './own-programs.ts';
import { row, type Row } from './measure.ts';
import { familyOf, rollupOf } from './process-memory.ts';
import { wakes } from './reconciler-start.ts';

/** How long nothing happens, in ms. */
const quiet = 20_000;
const questions = 5;

export async function* bench(): AsyncGenerator<Row> {
  const packages: string[] = [];
  for (let i = 0; i < 200; i++) packages.push(await probePackage({ name: `c-${i}`, args: ['stamp', '-', 'sleep'] }));
  await using installation = await installOwn();
  for (const count of [0, 50, 200]) {
    const entries = Array.from({ length: count }, (_, i) => `c-${i}: { state: running, restart: { policy: never } }`);
    await using daemon = await startDaemon({
      packages: packages.slice(0, count),
      document: (directory) => documentOf(directory, ...entries),
      configuration: 'sleep: { after: 500ms }\n',
      asOnDevice: true,
      program: installation.program,
      env: installation.env,
    });
    await daemon.until('everything runs', ({ converged }) => converged);
    daemon.unwatch();
    // One that has started everything weighs more than those that adopt it.
    await asleep(daemon);
    const client = await connectConsole(daemon.console);
    // Who follows keeps it awake.
    await client.call('events', { since: null, boot: null, follow: true });
    await client.call('list', null);
    yield* weights(daemon, `awake, just woken, ${count} containers`);
    // After five seconds of rest it gives back what the start took; the last collection of that may have been a little later.
    await pass(12_000);
    await client.call('list', null);
    yield* weights(daemon, `awake, ${count} containers`);
    client.close();
    await asleep(daemon);
    yield* weights(daemon, `asleep, ${count} containers`);
    const disk = files(daemon);
    yield* wakes('rest', daemon, `a wake, ${count} containers`, questions);
    await asleep(daemon);
    const written = [...files(daemon)].filter(([name, state]) => disk.get(name)?.mtimeMs !== state.mtimeMs);
    const bytes = written.reduce((sum, [, { size }]) => sum + size, 0);
    yield row('rest', `${questions} wakes and as many sleeps, ${count} containers: written`, 'bytes', [bytes]);
    const resting = await wakesDuring(daemon, () => pass(quiet));
    yield row('rest', `asleep, ${count} containers: wakes an hour`, 'wakes', [(resting * 3_600_000) / quiet]);
    if (count === 0) continue;
    const { containers } = await statusOf(daemon);
    const events: Record<string, () => unknown> = {
      'an exit': () => process.kill(containers['c-0']?.pid ?? NaN, 'SIGKILL'),
      'a file in a repository': () => writeFileSync(join(daemon.repository, 'other.npk'), 'no package'),
      'a save of the document': () =>
        writeFileSync(daemon.document, documentOf(daemon.repository, ...entries, '# saved')),
    };
    for (const [name, act] of Object.entries(events)) {
      const woken = await wakesDuring(daemon, () => wokenBy(daemon, act));
      yield row('rest', `${name}, ${count} containers: wakes`, 'wakes', [woken]);
    }
  }
}

/** How often it was woken while something was done; the questions themselves do not count. */
async function wakesDuring(daemon: Daemon, act: () => Promise<unknown>): Promise<number> {
  const before = (await statusOf(daemon)).sleep.today;
  await asleep(daemon);
  await act();
  await asleep(daemon);
  return (await statusOf(daemon)).sleep.today - before - 1;
}

/** The launcher, the reconciler, and the inits with their applications, in KiB. Nobody else runs their programs. */
function* weights(daemon: Daemon, when: string): Generator<Row> {
  const reconciler = daemon.reconciler();
  const [own, launcher] = [reconciler === null ? null : rollupOf(reconciler), rollupOf(daemon.pid)?.Pss ?? 0];
  const others = familyOf(daemon.pid).filter((pid) => pid !== reconciler && pid !== daemon.pid);
  const inits = others.reduce((sum, pid) => sum + (rollupOf(pid)?.Pss ?? 0), 0);
  if (own !== null) yield row('rest', `${when}: the reconciler, anonymous`, 'KiB', [own.Anonymous]);
  if (own !== null) yield row('rest', `${when}: the reconciler, Pss`, 'KiB', [own.Pss]);
  yield row('rest', `${when}: the launcher, Pss`, 'KiB', [launcher]);
  if (others.length > 0) yield row('rest', `${when}: inits and applications, Pss`, 'KiB', [inits]);
  yield row('rest', `${when}: all processes, Pss`, 'KiB', [launcher + inits + (own?.Pss ?? 0)]);
}

/** What lies on the disk: not the log, and not runDir, which is a tmpfs. */
function files({ directory }: Daemon): Map<string, { readonly mtimeMs: number; readonly size: number }> {
  const names = readdirSync(directory, { recursive: true, encoding: 'utf8' });
  const lasting = names.filter((name) => name !== 'log' && !name.startsWith('run'));
  const found = lasting.map((name) => [name, statSync(join(directory, name))] as const);
  return new Map(found.filter(([, stat]) => stat.isFile()));
}
