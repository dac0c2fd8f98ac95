// The launcher's attempts as this process sees them: what is observed of them, their output, and what became of them.
import { decodeRecord, withAttempt } from '../controllers/attempts.ts';
import type { Attempt } from '../native/launcher.ts';
import type { ObservedAttempt } from '../state/observed.ts';
import type { Store } from '../state/store.ts';
import type { Output } from './logs.ts';
import type { Observing } from './observing.ts';
import type { RuntimeEvent } from './runtime.ts';

export interface Attempts {
  /** What the launcher says of an attempt. */
  seen(attempt: Attempt): void;
  /** What an act has made of one. */
  observe(attempt: ObservedAttempt): void;
  forgotten(name: string, id: number): void;
  /** The launcher has more output. */
  grown(id: number, begin: number, end: number): void;
  nextId(): number;
  nameOf(id: number): string | null;
  outputs(name: string): readonly Output[];
}

export interface AttemptsPorts {
  readonly store: Store;
  readonly observing: Observing;
  readonly tell: (event: RuntimeEvent) => void;
}

/** Begins with the attempts that the launcher remembers, oldest first; they are no news. */
export function createAttempts(remembered: readonly Attempt[], { store, observing, tell }: AttemptsPorts): Attempts {
  const names = new Map<number, string>();
  const rings = new Map<number, { begin: number; end: number }>();
  let highest = 0;

  const attemptsOf = (name: string) => store.get().observed.attempts.get(name) ?? [];

  function note(attempt: Attempt): ObservedAttempt {
    const { id, name, output, ...rest } = attempt;
    highest = Math.max(highest, id);
    names.set(id, name);
    rings.set(id, output);
    const record = decodeRecord(attempt.record);
    return { ...pick(rest), id, name, version: record.version, record };
  }

  const found = Map.groupBy(remembered.map(note), ({ name }) => name);
  observing.allAttempts(found);

  return {
    seen(attempt) {
      const before = attemptsOf(attempt.name).find((each) => each.id === attempt.id);
      const now = note(attempt);
      observing.attempts(now.name, withAttempt(attemptsOf(now.name), now));
      const container = `${now.name}:${now.version}`;
      const ran = before?.startedAt !== undefined && before.startedAt > 0;
      if (now.startedAt > 0 && !ran) tell({ type: 'started', container });
      if (now.exit !== null && (before?.exit ?? null) === null) tell({ type: 'exit', container, exit: now.exit });
    },
    observe(attempt) {
      names.set(attempt.id, attempt.name);
      observing.attempts(attempt.name, withAttempt(attemptsOf(attempt.name), attempt));
    },
    forgotten(name, id) {
      names.delete(id);
      rings.delete(id);
      const left = attemptsOf(name).filter((attempt) => attempt.id !== id);
      observing.attempts(name, left);
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
}: Seen): Seen {
  const known = failure === null ? null : { step: failure.step, code: failure.code, subject: failure.subject };
  return { state, pid, hash, preparedAt, startedAt, exitedAt, exit, oomKills, failure: known, after, going };
}
