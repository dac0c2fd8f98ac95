// What the launcher remembers of one start of a container, as E_ATTEMPT brings it.
import type { ObservedHealth } from '../../state/health.ts';
import { errnoName } from '../libc.ts';
import { stepName } from './ops.ts';
import { createDecoder, WireError, type Decoder } from './wire.ts';

const states = ['preparing', 'prepared', 'running', 'exited', 'failed'] as const;
type AttemptState = (typeof states)[number];

/** Where a start failed: the step (an op's name or one of the launcher's own), errno(3) as number and name, and on what. */
export interface LaunchFailure {
  readonly step: string;
  readonly errno: number;
  readonly code: string;
  readonly subject: string;
}

/** A request that the launcher could not do: the step, errno(3) and what it was about. */
export class LaunchError extends Error implements LaunchFailure {
  readonly step: string;
  readonly errno: number;
  readonly code: string;
  readonly subject: string;

  constructor({ step, errno, code, subject }: LaunchFailure) {
    super(subject === '' ? `${step}: ${code}` : `${step} ${subject}: ${code}`);
    this.name = 'LaunchError';
    this.step = step;
    this.errno = errno;
    this.code = code;
    this.subject = subject;
  }
}

export interface Attempt {
  readonly id: number;
  readonly name: string;
  /** Of the specification, in hex. */
  readonly hash: string;
  readonly record: Uint8Array;
  readonly state: AttemptState;
  /** The init's, as the host sees it. */
  readonly pid: number;
  /** The application's, as the host sees it; 0 = none was started. */
  readonly application: number;
  /** CLOCK_BOOTTIME in ms, fractional; 0 = not yet. */
  readonly preparedAt: number;
  readonly startedAt: number;
  readonly exitedAt: number;
  readonly exit: { readonly code: number } | { readonly signal: number } | null;
  readonly oomKills: number;
  /** Absolute offsets of the output that is kept. */
  readonly output: { readonly begin: number; readonly end: number };
  readonly failure: LaunchFailure | null;
  /** The attempt that its go waits for, 0 = none. */
  readonly after: number;
  /** A go was given and exec is not reached yet. */
  readonly going: boolean;
  /** What it is asked, and how it is (native/launcher/core/health-state.h); `readyAt` is CLOCK_BOOTTIME in ms. */
  readonly health: ObservedHealth;
}

/** The failure in an answer or event, null when there is none. */
export function failureOf(step: number, errno: number, subject: string): LaunchFailure | null {
  return step === 0 ? null : { step: stepName(step), errno, code: errnoName(errno), subject };
}

/** The body of E_ATTEMPT. Throws WireError. */
export function decodeAttempt(body: Uint8Array): Attempt {
  const from = createDecoder(body);
  const id = from.u64();
  const name = from.text();
  const hash = Buffer.from(from.raw(32)).toString('hex');
  const record = from.bytes();
  const state = states[from.u8() - 1];
  if (state === undefined) throw new WireError('an attempt in no known state');
  const pid = from.u32();
  const application = from.u32();
  const [preparedAt, startedAt, exitedAt] = [from.u64() / 1e6, from.u64() / 1e6, from.u64() / 1e6];
  const exit = decodeExit(from.u8(), from.u32());
  const oomKills = from.u32();
  const output = { begin: from.u64(), end: from.u64() };
  const failure = failureOf(from.u16(), from.u32(), from.text());
  const after = from.u64();
  const going = from.u8() !== 0;
  const health = decodeHealth(from);
  from.end();
  return {
    id,
    name,
    hash,
    record,
    state,
    pid,
    application,
    preparedAt,
    startedAt,
    exitedAt,
    exit,
    oomKills,
    output,
    failure,
    after,
    going,
    health,
  };
}

const verdicts = [null, 'NotReady', 'Unhealthy', 'WatchdogExpired'] as const;

function decodeHealth(from: Decoder): Attempt['health'] {
  const revision = from.u32();
  const ready = from.u8() !== 0;
  const readyAt = from.u64() / 1e6;
  const verdict = verdicts[from.u8()];
  if (verdict === undefined) throw new WireError('an attempt with no known verdict');
  const says = from.u8();
  const [status, message] = [from.text(), from.text()];
  const reloading = (says & 2) !== 0;
  return { revision, readyAt: ready ? readyAt : null, verdict, stopping: (says & 1) !== 0, reloading, status, message };
}

function decodeExit(kind: number, value: number): Attempt['exit'] {
  return kind === 0 ? null : exitOf(kind, value);
}

function exitOf(kind: number, value: number): NonNullable<Attempt['exit']> {
  return kind === 1 ? { code: value } : { signal: value };
}

/** How a session ended; `failure` where it had a file to copy and could not. */
export interface Left {
  readonly id: number;
  readonly exit: NonNullable<Attempt['exit']>;
  readonly failure: LaunchFailure | null;
}

/** The body of E_LEFT. Throws WireError. */
export function decodeLeft(body: Uint8Array): Left {
  const from = createDecoder(body);
  const id = from.u64();
  const exit = exitOf(from.u8(), from.u32());
  const failure = failureOf(from.u16(), from.u32(), from.text());
  from.end();
  return { id, exit, failure };
}
