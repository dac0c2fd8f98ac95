// Random changes of a document, and what a runtime has to show once each is reached.
import type { ContainerStatus, Phase, Status } from '../../state/status.ts';
import { documentOf } from './test-daemon.ts';
import { probePackage } from './packages.ts';
import type { Random } from '../sim/random.ts';

export const versions = ['1.0.0', '1.1.0', '2.0.0'];

/** What each container does. `once` ends by itself and is not restarted, `broken` has no init that can be run. */
const programs = new Map<
  string,
  { readonly args: readonly string[]; readonly fields?: string; readonly entry?: string }
>([
  ['steady', { args: ['print', '1', 'up', 'sleep'] }],
  ['limited', { args: ['sleep'], fields: 'cgroups: { cpu: { shares: 200 } }' }],
  ['deaf', { args: ['ignore', '15', 'sleep'], entry: 'stop: { grace: 50ms }' }],
  ['slow', { args: ['signals', 'wait', '30'] }],
  ['kept', { args: ['sleep'], entry: 'prepare: true' }],
  ['once', { args: ['exit', '3'], entry: 'restart: { policy: never }' }],
  ['broken', { args: [], fields: 'init: /missing' }],
]);

/** An entry of the document, as far as the chaos changes it. */
export interface Entry {
  readonly version: string;
  readonly state: 'installed' | 'mounted' | 'running';
  /** Its change asks for one more start. */
  readonly run: number;
  /** Its change replaces the container. */
  readonly level: number;
}

export type Entries = ReadonlyMap<string, Entry>;

/** Every package that the entries may name. */
export async function chaosPackages(): Promise<string[]> {
  const wanted = [...programs].flatMap(([name, { args, fields = '' }]) =>
    versions.map((version) => probePackage({ name, version, args, fields })),
  );
  return await Promise.all(wanted);
}

/** One to three entries added, removed, or changed in one of their fields. */
export function change(entries: Entries, random: Random): Map<string, Entry> {
  const next = new Map(entries);
  for (let changes = random.between(1, 3); changes > 0; changes--) {
    const name = random.pick([...programs.keys()]);
    const entry = next.get(name);
    if (entry === undefined) next.set(name, newEntry(random));
    else if (random.chance(0.15)) next.delete(name);
    else next.set(name, changed(entry, random));
  }
  return next;
}

function newEntry(random: Random): Entry {
  const state = random.chance(0.7) ? 'running' : random.pick(['installed', 'mounted'] as const);
  return { version: random.pick(versions), state, run: 1, level: 1 };
}

function changed(entry: Entry, random: Random): Entry {
  const changes: readonly Partial<Entry>[] = [
    { version: random.pick(versions) },
    { state: random.pick(['installed', 'mounted', 'running', 'running'] as const) },
    { run: entry.run + 1 },
    { level: entry.level + 1 },
  ];
  return { ...entry, ...random.pick(changes) };
}

/** The document of these entries. `mark` is one more entry, by which it is told from the one before. */
export function chaosDocument(packages: string, entries: Entries, mark: string): string {
  const texts = [...entries].map(([name, { version, state, run, level }]) => {
    const more = programs.get(name)?.entry;
    const fields = [`version: ${version}`, `state: ${state}`, `run: ${run}`, `env: { LEVEL: '${level}' }`];
    return `${name}: { ${[...fields, ...(more === undefined ? [] : [more])].join(', ')} }`;
  });
  return documentOf(packages, ...texts, `${mark}: { state: absent }`);
}

/** What a settled status shows otherwise than the document asks for. */
export function differences({ containers, document, converged }: Status, entries: Entries, mark: string): string[] {
  const unexpected = Object.keys(containers).filter((name) => name !== mark && !entries.has(name));
  const fails = entries.get('broken')?.state === 'running';
  return [
    ...(document.status === 'ok' ? [] : [`the document is ${document.status}: ${document.error?.message}`]),
    ...(converged === fails ? [`converged is ${converged}`] : []),
    ...unexpected.map((name) => `${name} is there`),
    ...[...entries].flatMap(([name, entry]) =>
      fits(containers[name], name, entry)
        ? []
        : [`${name} is asked to be ${JSON.stringify(entry)} and is ${JSON.stringify(containers[name])}`],
    ),
  ];
}

function fits(container: ContainerStatus | undefined, name: string, { version, state }: Entry): boolean {
  if (container === undefined || container.version !== version || container.desired !== state) return false;
  return container.phase === phaseOf(name, state) && (container.pid !== null) === (container.phase === 'Running');
}

function phaseOf(name: string, state: Entry['state']): Phase {
  if (state !== 'running') return state === 'installed' ? 'Installed' : 'Mounted';
  if (name === 'broken') return 'Failed';
  return name === 'once' ? 'Exited' : 'Running';
}

/** Containers that ran before, whose entry has stayed the same, and that have another process now. */
export function lost(before: Status, after: Status, entries: Entries, next: Entries): string[] {
  return [...entries].flatMap(([name, entry]) => {
    const [old, now] = [before.containers[name]?.pid ?? null, after.containers[name]?.pid ?? null];
    const same = JSON.stringify(next.get(name)) === JSON.stringify(entry);
    return same && old !== now ? [`${name} had pid ${String(old)} and has ${String(now)}`] : [];
  });
}
