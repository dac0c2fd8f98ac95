// The acts of the containers controller: each has the launcher do one thing, and notes what it answered as observed.
import type { HealthOrder } from '../../native/wire/health-order.ts';
import type { Op } from '../../native/wire/ops.ts';
import { RequestTooLarge } from '../../native/wire/wire.ts';
import { unasked } from '../../state/health.ts';
import type { AttemptRecord, ObservedAttempt, Ran } from '../../state/observed.ts';
import type { Ahead } from '../../state/store.ts';
import { TerminalError } from '../failure.ts';
import { encodeRecord } from './attempt-record.ts';
import { madeOf } from './candidate.ts';
import { plan, type ContainerStep } from './containers-plan.ts';
import { partOf, type Part, type Target, type View } from '../controller.ts';

/** What the acts need of native/wire/launcher.ts. */
export interface Launcher {
  prepare(sandbox: { id: number; name: string; hash: string; record: Uint8Array; ops: readonly Op[] }): Promise<void>;
  go(start: { id: number; after: number; record: Uint8Array; ops: readonly Op[] }): Promise<void>;
  kill(id: number, signal: number): Promise<void>;
  forget(id: number): Promise<void>;
  health(order: HealthOrder): Promise<void>;
  record(id: number, bytes: Uint8Array): Promise<void>;
}

/** Operations and the descriptors in them, which `close` closes once they are sent. */
export interface Operations {
  readonly ops: readonly Op[];
  close(): void;
}

/** `lacks` says what the host did not have of what the manifest names, and the sandbox is made without. */
export interface Sandbox extends Operations {
  readonly hash: string;
  readonly lacks: readonly string[];
}

/** What the launcher has a container asked, and the descriptors in it, which `close` closes. */
export interface OpenedHealth {
  readonly order: HealthOrder;
  close(): void;
}

/** Turns a target into what the launcher executes: both halves of a start. */
export interface Sandboxes {
  /** Hash of everything that the sandbox would be made from now, host paths and namespaces looked at. */
  hash(view: View, target: Target): Promise<string> | string;
  prepare(view: View, target: Target, id: number): Promise<Sandbox>;
  go(view: View, target: Target, attempt: ObservedAttempt): Promise<Operations>;
  /** What is asked of one that runs. */
  health(view: View, target: Target, attempt: ObservedAttempt): Promise<OpenedHealth>;
}

export interface ContainerPorts {
  readonly launcher: Launcher;
  readonly sandboxes: Sandboxes;
  /** CLOCK_BOOTTIME in ms. */
  now(): number;
  view(name: string): View;
  /** An attempt id that was never used: higher than every one that the launcher remembers. */
  nextId(): number;
  /** Takes an attempt into the observed state (containers-observe.ts: withAttempt). */
  observe(attempt: ObservedAttempt): void;
  /** Makes a change of what is observed, where many are made at a time together with others; resolves when it is. */
  soon(change: () => void): Promise<void>;
  /** Resolves when an instance that goes at an end has had the time to: what is computed before would take a processor from it. */
  gone(): Promise<void>;
  /** Takes an attempt out of the observed state. */
  forgotten(name: string, id: number): void;
  /** Lets an attempt go on with all that it has frozen of itself. */
  thaw(name: string, id: number): Promise<void>;
  /** Keeps in runDir, and in the observed state, that a name has run in this boot; null takes it away. */
  note(name: string, ran: Ran | null): Promise<void> | void;
  /** Says what becomes of a sandbox that is made in advance; null takes it back. */
  ahead(name: string, said: Ahead | null): void;
  /** Notes on the disk that what is kept of a name's persistent data is not what there is, or (false) that it is after all. */
  touch(name: string, touched: boolean): Promise<void>;
}

type Acts = {
  [O in ContainerStep['op']]: (step: Extract<ContainerStep, { op: O }>, ports: ContainerPorts) => Promise<void>;
};

/** The controller as the reconciler uses it. Acts note by themselves what is observed of attempts; `groupChanged` does of groups. */
export function containersPart(ports: ContainerPorts, groupChanged: (name: string) => void): Part {
  return partOf<ContainerStep>(plan, async (step) => {
    try {
      await act(step, ports);
    } finally {
      // A sandbox is born in a leaf of its own, which stays when the rest fails; a start brings the limits.
      if (step.op === 'prepare' || step.op === 'start' || step.op === 'go') groupChanged(step.name);
    }
  });
}

/** Performs a step. Rejects with a LaunchError when the launcher could not, which it remembers with the attempt as well. */
export function act(step: ContainerStep, ports: ContainerPorts): Promise<void> {
  // The table is complete by its type; TypeScript does not see that the key and the argument belong together.
  return (acts[step.op] as (step: ContainerStep, ports: ContainerPorts) => Promise<void>)(step, ports);
}

const acts: Acts = { prepare, start, go, ask, signal, kill, discard: forget, forget, note };

type StepOf<O extends ContainerStep['op']> = Extract<ContainerStep, { op: O }>;

async function prepare(step: StepOf<'prepare'>, ports: ContainerPorts): Promise<void> {
  const { name, made } = step;
  try {
    const { attempt, prepared } = await askForSandbox(step, ports);
    await prepared;
    if (seen(ports, name, attempt.id) === undefined) ports.observe({ ...attempt, preparedAt: ports.now() });
    if (step.ahead) ports.ahead(name, null);
  } catch (error) {
    if (!step.ahead) throw error;
    // Whoever asks for a start is told what it lacks.
    ports.ahead(name, { made, what: 'failed' });
  }
}

/** The second half is on its way while the init is at the first: it lies in its socket until that is done. */
async function start(step: StepOf<'start'>, ports: ContainerPorts): Promise<void> {
  const { name } = step;
  const { attempt, prepared, view, target } = await askForSandbox(step, ports);
  const { id, record } = attempt;
  const gone = ports.sandboxes.go(view, target, attempt).then(async ({ ops, close }) => {
    try {
      // An edit may have come since: the sandbox is then left for the planner to discard.
      const goes = isStillWanted(ports.view(name), target);
      if (goes) await started({ name, id, after: 0 }, record, ops, ports);
      return goes;
    } finally {
      close();
    }
  });
  // Without a sandbox there is no start: its error says why.
  for (const result of await Promise.allSettled([prepared, gone]))
    if (result.status === 'rejected') throw result.reason;
  const known = seen(ports, name, id) ?? { ...attempt, preparedAt: ports.now() };
  if (known.state !== 'prepared' && known.state !== 'preparing') return;
  const running = (await gone) ? ({ state: 'running', startedAt: ports.now(), going: false } as const) : {};
  ports.observe({ ...known, ...running });
}

function isStillWanted({ targets, stopping }: View, { key, replacing, entry }: Target): boolean {
  const now = targets.find((target) => target.key === key);
  const same = now?.replacing === replacing && now.entry.run?.id === entry.run?.id;
  return same && now.entry.state === 'running' && !stopping;
}

/** Resolves when the launcher has been asked; `prepared` when it has done it. */
async function askForSandbox(
  step: StepOf<'prepare' | 'start'>,
  ports: ContainerPorts,
): Promise<{ attempt: ObservedAttempt; prepared: Promise<void>; view: View; target: Target }> {
  const { name, version, key } = step;
  const view = ports.view(name);
  const target = targetOf(view, key);
  if (madeOf(view, target) !== step.made) throw new Error(`${key} is no longer what was planned`);
  const id = ports.nextId();
  const { ops, hash, lacks, close } = await ports.sandboxes.prepare(view, target, id);
  const record = { ...recordOf(step, target, view, ports.now()), lacks };
  const prepared = ports.launcher
    .prepare({ id, name, hash, record: encodeRecord(record), ops })
    .catch(refuseTooLarge(key))
    .finally(close);
  return { attempt: { ...unseen, id, name, version, hash, record, preparedAt: 0 }, prepared, view, target };
}

/** What does not fit into a request never will: it is not tried again. */
function refuseTooLarge(subject: string): (error: unknown) => never {
  return (error) => {
    if (!(error instanceof RequestTooLarge)) throw error;
    throw new TerminalError('StartFailed', `${subject} asks for more than one start can have: ${error.message}`);
  };
}

async function go(step: StepOf<'go'>, ports: ContainerPorts): Promise<void> {
  const view = ports.view(step.name);
  const target = targetOf(view, step.key);
  const attempt = attemptOf(view, step.id);
  // What a host path or namespace leads to may have changed since it was prepared; planners do not see that.
  const isSame = madeOf(view, target) === attempt.record.made;
  if (!isSame || (await ports.sandboxes.hash(view, target)) !== attempt.hash) return forget(step, ports);
  const { ops, close } = await ports.sandboxes.go(view, target, attempt);
  const { ahead: _, ...sandbox } = attempt.record;
  const record: AttemptRecord = { ...sandbox, ...startOf(step, target, view) };
  try {
    await started(step, record, ops, ports);
  } finally {
    close();
  }
  const known = seen(ports, step.name, step.id);
  if (known?.state !== 'prepared') return;
  const state =
    step.after === 0 ? { state: 'running' as const, startedAt: ports.now() } : { after: step.after, going: true };
  ports.observe({ ...known, record, ...state });
}

async function started(
  { name, id, after }: Pick<StepOf<'go'>, 'name' | 'id' | 'after'>,
  record: AttemptRecord,
  ops: readonly Op[],
  ports: ContainerPorts,
): Promise<void> {
  const { ran, kept } = ports.view(name);
  // Before another version can write there: whatever ends us from here on, a revert brings the data back.
  const touches = kept !== null && !kept.touched && kept.version !== record.version;
  if (touches) await ports.touch(name, true);
  const notes = after === 0 && !record.autostart && record.by !== 'once';
  const start = ports.launcher.go({ id, after, record: encodeRecord(record), ops }).catch(refuseTooLarge(name));
  // Written beside the start, not after it: even the death of the launcher at this instant repeats no run.
  const noted = notes ? ports.note(name, { run: record.run, exit: null, attempt: id }) : undefined;
  const [result] = await Promise.allSettled([start, noted]);
  if (result.status === 'fulfilled') return;
  if (notes) await ports.note(name, ran);
  if (touches) await ports.touch(name, false);
  throw result.reason;
}

async function ask(step: StepOf<'ask'>, ports: ContainerPorts): Promise<void> {
  const view = ports.view(step.name);
  const attempt = attemptOf(view, step.id);
  const { order, close } = await ports.sandboxes.health(view, targetOf(view, step.key), attempt);
  try {
    await ports.launcher.health(order);
  } finally {
    close();
  }
  // What the launcher has told meanwhile is newer than its answer.
  if (seen(ports, step.name, step.id) !== attempt) return;
  ports.observe({ ...attempt, health: { ...attempt.health, revision: order.revision } });
}

/** The deadline is remembered with the signal, so that a reconciler started anew goes on where this one was. */
async function signal(step: StepOf<'signal'>, ports: ContainerPorts): Promise<void> {
  const attempt = attemptOf(ports.view(step.name), step.id);
  const { fault } = step;
  const stop = { deadline: ports.now() + step.grace, killed: false, ...(fault !== undefined && { fault }) };
  const isAwaited = ports.view(step.name).attempts.some(({ after }) => after === step.id);
  await write(attempt, stop, ports, step.signal, isAwaited);
}

async function kill(step: StepOf<'kill'>, ports: ContainerPorts): Promise<void> {
  const attempt = attemptOf(ports.view(step.name), step.id);
  await write(attempt, { ...attempt.record.stop, deadline: ports.now(), killed: true }, ports, SIGKILL);
}

async function forget({ id, name }: { id: number; name: string }, ports: ContainerPorts): Promise<void> {
  await ports.launcher.forget(id);
  ports.forgotten(name, id);
}

async function note(step: StepOf<'note'>, ports: ContainerPorts): Promise<void> {
  await ports.note(step.name, step.ran);
}

/**
 * Sends exactly one signal, with no escalation, and marks the attempt as stopped by command first: its end is then not
 * judged by `restart`. Resolves at delivery. For console requests that are answered by the signal alone.
 */
export async function signalExactly(attempt: ObservedAttempt, number: number, ports: ContainerPorts): Promise<void> {
  const stop = number === SIGKILL ? { deadline: ports.now(), killed: true } : { deadline: null, killed: false };
  await write(attempt, stop, ports, number);
}

const SIGKILL = 9;

/** Record and signal leave together: nothing can come between them but the end of this process in the middle of a write. */
async function write(
  attempt: ObservedAttempt,
  stop: AttemptRecord['stop'],
  ports: ContainerPorts,
  number: number,
  isAwaited = false,
): Promise<void> {
  const { launcher } = ports;
  const record = { ...attempt.record, stop };
  const written = launcher.record(attempt.id, encodeRecord(record));
  const sent = launcher.kill(attempt.id, number);
  const results = await Promise.allSettled([written, sent]);
  if (isAwaited) await ports.gone();
  if (results[0].status === 'fulfilled')
    await ports.soon(() => {
      const known = seen(ports, attempt.name, attempt.id);
      if (known !== undefined) ports.observe({ ...known, record });
    });
  for (const result of results) if (result.status === 'rejected') throw result.reason;
  // One that is told to end must be able to. What has ended by now has nothing frozen.
  if (seen(ports, attempt.name, attempt.id)?.state !== 'exited') await ports.thaw(attempt.name, attempt.id);
}

/** The attempt as it is known by now: while a request was under way, the launcher may have told more about it. */
function seen(ports: ContainerPorts, name: string, id: number): ObservedAttempt | undefined {
  return ports.view(name).attempts.find((attempt) => attempt.id === id);
}

function targetOf({ targets, name }: View, key: string): Target {
  const target = targets.find((each) => each.key === key);
  if (target === undefined) throw new Error(`${key} is no longer asked of ${name}`);
  return target;
}

function attemptOf({ attempts, name }: View, id: number): ObservedAttempt {
  const attempt = attempts.find((each) => each.id === id);
  if (attempt === undefined) throw new Error(`attempt ${id} of ${name} is gone`);
  return attempt;
}

/** The record of a sandbox that is asked for at `now` (CLOCK_BOOTTIME in ms). */
export function recordOf(
  step: StepOf<'prepare' | 'start'>,
  target: Target,
  view: Pick<View, 'partners'>,
  now: number,
): AttemptRecord {
  return {
    ...startOf(step, target, view),
    version: step.version,
    entry: target.replacing,
    made: step.made,
    uses: target.resources.flatMap((resource) => resource.id ?? []),
    ...(step.op === 'prepare' && step.ahead && { ahead: step.ahead }),
    lacks: [],
    at: now,
    stop: null,
  };
}

function startOf(
  { restarts, lastExit }: Pick<AttemptRecord, 'restarts' | 'lastExit'>,
  target: Target,
  { partners }: Pick<View, 'partners'>,
) {
  const { entry, autostart } = target;
  return {
    run: entry.run?.id ?? null,
    ...(entry.run?.by !== undefined && { by: entry.run.by }),
    restarts,
    lastExit,
    generation: entry.generation,
    autostart: autostart !== null,
    onStop: { signal: entry.stop.signal, grace: entry.stop.grace },
    dependsOn: [...entry.dependsOn.keys()],
    beside: Object.fromEntries(partners),
  };
}

/** An attempt that has just been prepared and of which the launcher has told nothing else yet. */
export const unseen = {
  state: 'prepared',
  pid: 0,
  startedAt: 0,
  exitedAt: 0,
  exit: null,
  oomKills: 0,
  failure: null,
  after: 0,
  going: false,
  health: unasked,
} as const;
