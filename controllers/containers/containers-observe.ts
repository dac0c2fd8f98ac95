// The launcher's attempts as this process sees them: what is observed of them, their output, and what became of them.
import { decodeRecord } from './attempt-record.ts';
import type { Attempt } from '../../native/wire/launcher.ts';
import type { ObservedAttempt } from '../../state/observed.ts';
import type { Store } from '../../state/store.ts';
import type { Observing } from '../observing.ts';
import type { Tell } from '../events.ts';
import type { Told } from './told.ts';
import { containerId } from '../../state/container-id.ts';
import { SIGSYS } from '../../state/signals.ts';

/** An attempt's output as far as the launcher has told of it. */
export interface Output {
  readonly id: number;
  readonly begin: number;
  readonly end: number;
  /** Nothing can be added any more. */
  readonly ended: boolean;
}

export interface AttemptListener {
  /** Told before the attempt is observed as it is now: what it was until then can be looked at. */
  before?(attempt: Attempt): void;
  /** Told once it is observed. */
  after?(attempt: Attempt): void;
}

export interface Attempts {
  /** Has a listener told what the launcher says of attempts. */
  listen(listener: AttemptListener): void;
  /** What the launcher says of an attempt. */
  seen(attempt: Attempt): void;
  /** Takes over what waits for the end of a turn of Node's loop: before something else is heard that was said later. */
  settle(): void;
  /** From now on many end at a time: what the launcher says of attempts is taken over together at the end of each turn. */
  many(): void;
  /** Tells what nobody was there to tell. */
  tellMissed(): void;
  /** What an act has made of one. */
  observe(attempt: ObservedAttempt): void;
  forgotten(name: string, id: number): void;
  /** A step has been performed on the groups of a name, and they are observed: ends that waited for it are told. */
  groupChanged(name: string): void;
  /** The launcher has more output. */
  grown(id: number, begin: number, end: number): void;
  nextId(): number;
  nameOf(id: number): string | null;
  outputs(name: string): readonly Output[];
  /** Tells the ends that still wait to be told. */
  tellAll(): void;
}

/** ms that an end waits to be told for groups that cannot be removed. */
const LONGEST_WAIT = 2000;

export interface AttemptsPorts {
  readonly store: Store;
  readonly observing: Observing;
  readonly tell: Tell;
  readonly told: Told;
  /** Looks at the groups of a name. */
  lookAtGroups(name: string): void;
  /** Whether groups of an attempt that has ended, or of its name, are still to be removed, as they are observed. */
  lingers(name: string, id: number): boolean;
}

/** Begins with the attempts that the launcher remembers, oldest first. */
export function createAttempts(remembered: readonly Attempt[], ports: AttemptsPorts): Attempts {
  const { store, observing, told } = ports;
  const names = new Map<number, string>();
  const listeners: AttemptListener[] = [];
  /** Ends that are told when the attempt's groups are gone. */
  const held = new Map<number, { readonly attempt: ObservedAttempt; readonly timer: NodeJS.Timeout }>();
  const rings = new Map<number, { begin: number; end: number }>();
  let highest = 0;
  let isMany = false;
  let unheard: Attempt[] = [];

  const attemptsOf = (name: string) => store.get().observed.attempts.get(name) ?? [];

  function note(attempt: Attempt): ObservedAttempt {
    const { id, name, output, ...rest } = attempt;
    highest = Math.max(highest, id);
    names.set(id, name);
    rings.set(id, output);
    const record = decodeRecord(attempt.record);
    const seen = pick(rest);
    // What a filter has refused is ours to remember.
    const isRefused = seen.exit !== null && 'signal' in seen.exit && record.refused !== undefined;
    const exit = isRefused ? { signal: SIGSYS, syscall: record.refused } : seen.exit;
    return { ...seen, exit, id, name, version: record.version, record };
  }

  function tellOnce(attempt: ObservedAttempt): void {
    const { id, name, version, startedAt, exit } = attempt;
    if (startedAt > 0 && !told.has(id, 'started')) {
      // What has ended before is told before.
      for (const earlier of heldOf(name)) if (earlier.id !== id) tellEnd(earlier);
      const telling = { attempt: id, news: 'started' } as const;
      ports.tell({ type: 'started', container: containerId(name, version) }, telling);
      told.add(telling);
    }
    if (exit === null || told.has(id, 'exit')) return;
    // Where groups of it are known they are to be removed, and are looked at then.
    if (!ports.lingers(name, id)) ports.lookAtGroups(name);
    if (!ports.lingers(name, id)) tellEnd(attempt);
    else if (!held.has(id)) held.set(id, { attempt, timer: setTimeout(() => tellEnd(attempt), LONGEST_WAIT) });
  }

  function heldOf(name: string): ObservedAttempt[] {
    return [...held.values()].map(({ attempt }) => attempt).filter((attempt) => attempt.name === name);
  }

  function tellEnd({ id, name, version, exit }: ObservedAttempt): void {
    clearTimeout(held.get(id)?.timer);
    held.delete(id);
    if (exit === null || told.has(id, 'exit')) return;
    const telling = { attempt: id, news: 'exit' } as const;
    ports.tell({ type: 'exit', container: containerId(name, version), exit }, telling);
    told.add(telling);
  }

  function hear(all: readonly Attempt[]): void {
    const seen = store.together(() =>
      all.map((attempt) => {
        for (const listener of listeners) listener.before?.(attempt);
        const now = note(attempt);
        observing.attempts(now.name, withAttempt(attemptsOf(now.name), now));
        return now;
      }),
    );
    for (const now of seen) tellOnce(now);
    for (const attempt of all) for (const listener of listeners) listener.after?.(attempt);
  }

  function settle(): void {
    const all = unheard;
    unheard = [];
    if (all.length > 0) hear(all);
  }

  const earlier = remembered.map(note);
  observing.allAttempts(Map.groupBy(earlier, ({ name }) => name));

  return {
    listen: (listener) => void listeners.push(listener),
    seen(attempt) {
      if (isMany && unheard.length === 0) process.nextTick(settle);
      unheard.push(attempt);
      if (!isMany) settle();
    },
    settle,
    many: () => void (isMany = true),
    tellMissed: () => earlier.forEach(tellOnce),
    observe(attempt) {
      names.set(attempt.id, attempt.name);
      observing.attempts(attempt.name, withAttempt(attemptsOf(attempt.name), attempt));
    },
    forgotten(name, id) {
      const end = held.get(id);
      if (end !== undefined) tellEnd(end.attempt);
      names.delete(id);
      rings.delete(id);
      const left = attemptsOf(name).filter((attempt) => attempt.id !== id);
      observing.attempts(name, left);
    },
    groupChanged(name) {
      for (const attempt of heldOf(name)) if (!ports.lingers(name, attempt.id)) tellEnd(attempt);
    },
    grown(id, begin, end) {
      rings.set(id, { begin, end });
    },
    nextId() {
      highest += 1;
      return highest;
    },
    nameOf: (id) => names.get(id) ?? null,
    outputs: (name) =>
      attemptsOf(name).map(({ id, state }) => ({
        id,
        begin: rings.get(id)?.begin ?? 0,
        end: rings.get(id)?.end ?? 0,
        ended: state === 'exited' || state === 'failed',
      })),
    tellAll() {
      for (const { attempt } of held.values()) tellEnd(attempt);
    },
  };
}

type Seen = Omit<ObservedAttempt, 'id' | 'name' | 'version' | 'record'>;

function pick({
  state,
  pid,
  hash,
  preparedAt,
  startedAt,
  exitedAt,
  exit,
  oomKills,
  failure,
  after,
  going,
  health,
}: Seen): Seen {
  const known = failure === null ? null : { step: failure.step, code: failure.code, subject: failure.subject };
  return { state, pid, hash, preparedAt, startedAt, exitedAt, exit, oomKills, failure: known, after, going, health };
}

/** A name's attempts, oldest first, with one more or with a newer sight of one. */
export function withAttempt(attempts: readonly ObservedAttempt[], seen: ObservedAttempt): readonly ObservedAttempt[] {
  return [...attempts.filter(({ id }) => id !== seen.id), seen].sort((a, b) => a.id - b.id);
}
