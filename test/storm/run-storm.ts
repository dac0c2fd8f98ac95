// npm run storm -- [--minutes 10] [--seed N]: kills, edits, console clients and installs at random, with the invariants
// checked all the while and, after each burst, when it has become calm. Ends with exit code 1 at the first that breaks.
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { Status } from '../../state/status.ts';
import { createRandom, type Random } from '../sim/random.ts';
import { change, chaosDocument, chaosPackages, differences, type Entries } from '../support/chaos.ts';
import { launcherDescriptors } from '../support/launcher-descriptors.ts';
import { leftovers, openDescriptors } from '../support/leaks.ts';
import { probePackage } from '../support/packages.ts';
import { startDaemon, type Daemon } from '../support/test-daemon.ts';
import { babbler, client, installer, killer, type Storm } from './actors.ts';

const option = { type: 'string' } as const;
const { values } = parseArgs({ options: { minutes: option, seed: option } });
const seed = Number(values.seed ?? randomInt(2 ** 31));
const until = performance.now() + Number(values.minutes ?? 10) * 60_000;
/** MiB that the reconciler may have when it is calm, and descriptors that the launcher may have more than at first. */
const mostMemory = 200;
const mostDescriptors = 64;

const done = new Map<string, number>();
const did = (what: string): void => void done.set(what, (done.get(what) ?? 0) + 1);

/** Edits the document as an updater does; gives the entries that it asks for at last. */
async function editor(storm: Storm, first: Entries, round: number): Promise<Entries> {
  let entries = first;
  while (!storm.signal.aborted) {
    await delay(storm.random.between(0, 4_000), undefined, { signal: storm.signal }).catch(() => undefined);
    entries = change(entries, storm.random);
    await storm.daemon.write(chaosDocument(storm.daemon.repository, withBystander(entries), `edit-${round}`));
    storm.did('edits');
  }
  return entries;
}

/** One that no edit changes and nothing may disturb. */
function withBystander(entries: Entries): Entries {
  return new Map([...entries, ['bystander', { version: '1.0.0', state: 'running', run: 1, level: 1 }]]);
}

/** What clients have left over the document: it is theirs, and of no interest. */
function withoutGuests(status: Status): Status {
  const containers = Object.entries(status.containers).filter(([name]) => !name.startsWith('guest'));
  return { ...status, containers: Object.fromEntries(containers) };
}

/** The highest generation that was answered. */
let highest = 0;

/**
 * What holds at every moment: the bystander's process stays, and no generation that was answered is lost. One that is in force,
 * and not answered yet, may go with its reconciler.
 */
function watchAlways(daemon: Daemon, broken: (what: string) => void): () => void {
  let pid: number | null = null;
  /** Answered before the last status: what is told comes after it. */
  let seen = 0;
  return daemon.watch((status) => {
    const now = status.containers['bystander']?.pid ?? null;
    if (pid !== null && now !== pid) broken(`the bystander had pid ${pid} and has ${now ?? 'none'}`);
    pid ??= now;
    if (status.generation < seen) broken(`generation ${status.generation}, and ${seen} was answered`);
    seen = highest;
  });
}

/** What holds when it is calm. */
async function checkCalm(daemon: Daemon, entries: Entries, mark: string, descriptors: number): Promise<void> {
  await daemon.write(chaosDocument(daemon.repository, withBystander(entries), mark));
  const asked = withBystander(entries);
  let left: string[] = [];
  const fits = (status: Status): boolean => {
    const seen = withoutGuests(status);
    left = differences({ ...seen, converged: seen.converged || isSettled(status) }, asked, mark).filter(
      (difference) => !difference.startsWith('converged is'),
    );
    return mark in status.containers && left.length === 0;
  };
  await daemon.until(`${mark} is reached`, fits).catch((error: unknown) => {
    throw new Error(`not as the document asks for: ${left.join('; ')}`, { cause: error });
  });
  const open = await launcherDescriptors(daemon.pid);
  assert.ok(open <= descriptors + mostDescriptors, `the launcher has ${open} descriptors, ${descriptors} at first`);
  let memory = memoryOf(daemon.reconciler());
  for (let look = 0; look < 120 && memory > mostMemory; look++) {
    await delay(500);
    memory = memoryOf(daemon.reconciler());
  }
  assert.ok(memory <= mostMemory, `the reconciler has ${memory} MiB`);
}

function isSettled({ containers }: Status): boolean {
  return Object.values(containers).every(({ phase }) => !['Starting', 'Stopping', 'Backoff'].includes(phase));
}

/** MiB that a process has in memory (proc_pid_status(5)). */
function memoryOf(pid: number | null): number {
  const [, kibibytes = '0'] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid ?? 0}/status`, 'utf8')) ?? [];
  return Math.round(Number(kibibytes) / 1024);
}

async function storm(random: Random): Promise<number> {
  const guest = await probePackage({ name: 'guest', args: ['sleep'], fields: 'mounts: { /data: { type: persist } }' });
  const bystander = await probePackage({ name: 'bystander', args: ['sleep'] });
  const document = (directory: string): string => chaosDocument(directory, withBystander(new Map()), 'edit-0');
  await using daemon = await startDaemon({ packages: [...(await chaosPackages()), bystander], document });
  await daemon.untilContainer('bystander', 'runs', ({ phase }) => phase === 'Running');
  const descriptors = await launcherDescriptors(daemon.pid);
  const breaches: string[] = [];
  const unwatch = watchAlways(daemon, (what) => void breaches.push(what));
  let entries: Entries = new Map();
  let bursts = 0;
  while (performance.now() < until) {
    bursts += 1;
    const ending = AbortSignal.timeout(random.between(10_000, 40_000));
    const answered = (generation: number): void => void (highest = Math.max(highest, generation));
    const acting: Storm = { daemon, random, guest, signal: ending, did, answered };
    const actors = [killer, installer, babbler, client, client, client].map((actor) => actor(acting));
    entries = await editor(acting, entries, bursts);
    await Promise.all(actors);
    await checkCalm(daemon, entries, `calm-${bursts}`, descriptors);
    assert.deepEqual(breaches, []);
    const counts = [...done].map(([what, count]) => `${count} ${what}`).join(', ');
    console.log(`burst ${bursts}: calm, ${memoryOf(daemon.reconciler())} MiB; so far ${counts}`);
  }
  unwatch();
  assert.equal(await daemon.stop(), 0, daemon.log());
  assert.deepEqual(await leftovers(daemon.mark, openDescriptors(), 30_000), []);
  return bursts;
}

console.log(`seed ${seed}`);
const began = performance.now();
const bursts = await storm(createRandom(seed));
console.log(`${bursts} bursts in ${((performance.now() - began) / 60_000).toFixed(1)} minutes, and nothing broke`);
