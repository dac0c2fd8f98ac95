// What holds up a staged document whose packages are all there: locks, gates, and a look ahead. Never a way back. Whatever may open one of
// them rings: the launcher's deadline, a path, an end of a program; nothing of it is known after this process but what is read again.
import { statSync } from 'node:fs';
import { messageOf } from '../../state/errno.ts';
import { createBlindness } from '../../state/file/blindness.ts';
import { watchFile, type FileWatch } from '../../state/file/file-watch.ts';
import { lockedUntil } from '../../state/locked-until.ts';
import type { State } from '../../state/store.ts';
import { judgeWindow, windowText, type Gate } from '../../state/trial/gates.ts';
import type { Target } from '../controller.ts';
import { endLeftPrograms, startGateProgram, type GateProgram } from './gate-program.ts';

export interface ActivationGatePorts {
  readonly state: () => State;
  /** What the staged document asks for, its requirements resolved. */
  readonly staged: () => readonly Target[];
  /** What a look ahead finds against the staged document, in sentences. */
  readonly lookAhead: () => Promise<readonly string[]>;
  /** CLOCK_BOOTTIME in ms. */
  readonly now: () => number;
  /** ms since the epoch. */
  readonly wallClock: () => number;
  /** When to look again (CLOCK_BOOTTIME in ms); null = at no time. */
  readonly setDeadline: (at: number | null) => void;
  /** It may be open now. */
  readonly changed: () => void;
  /** The kernel does not tell of a path, and why; null: it does again. */
  readonly blind: (path: string, why: string | null) => void;
  readonly failed: (error: unknown) => void;
  /** The launcher's process id: what a reconciler that was killed has left is its child now. */
  readonly launcher: number;
}

export interface ActivationGate {
  /** Why what is staged must not be put into force yet; null = it may. */
  waits(): string | null;
  close(): void;
}

/** ms after which a look ahead that stands against it is made again. */
const aheadAgain = 60_000;

interface Asked<T> {
  readonly of: string;
  /** Undefined as long as it is under way. */
  readonly answer: T | undefined;
  readonly at: number;
}

export function createActivationGate(ports: ActivationGatePorts): ActivationGate {
  const { now, failed, changed } = ports;
  const watched = new Map<string, Promise<FileWatch>>();
  const programs = new Map<string, Asked<string | null>>();
  const running = new Set<GateProgram>();
  let ahead: Asked<readonly string[]> | null = null;
  let endedLeft = false;
  let closed = false;

  function waits(): string | null {
    const state = ports.state();
    const record = state.trial?.record ?? null;
    if (record?.state !== 'staged') {
      rest();
      return null;
    }
    if (record.generation === state.forced) return open();
    const times: number[] = [];
    const paths = new Set<string>();
    const { when = [] } = record.terms;
    const found =
      locksOf(state, times) ??
      when.map((gate) => gateWaits(gate, times, paths)).find((why) => why !== null) ??
      programsOf(when, `${record.generation}`, times) ??
      aheadOf(`${record.generation}`, times);
    follow(paths);
    ports.setDeadline(times.length === 0 ? null : Math.min(...times));
    return found === null ? open() : `${found}; generation ${record.generation} waits for it`;
  }

  function open(): null {
    rest();
    return null;
  }

  function rest(): void {
    follow(new Set());
    ports.setDeadline(null);
    programs.clear();
    ahead = null;
  }

  /** What runs and would be stopped or replaced, and must not be. */
  function locksOf({ observed }: State, times: number[]): string | null {
    const wanted = new Set(
      ports.staged().flatMap(({ entry, replacing }) => (entry.state === 'running' ? replacing : [])),
    );
    const held = [...observed.attempts.values()].flat().filter((attempt) => {
      const isRunning = attempt.state === 'running' && lockedUntil(attempt) > now();
      return isRunning && !wanted.has(attempt.record.entry);
    });
    const [first] = held;
    if (first === undefined) return null;
    times.push(...held.map(lockedUntil));
    const seconds = Math.ceil((Math.max(...held.map(lockedUntil)) - now()) / 1000);
    const names = held.map(({ name, version }) => `${name}:${version}`).join(', ');
    return `${names} must not be interrupted, for ${seconds} s at most`;
  }

  function gateWaits({ exists, absent, between, zone }: Gate, times: number[], paths: Set<string>): string | null {
    for (const path of [exists, absent]) if (path !== null) paths.add(path);
    const [there, gone] = [exists, absent].map((path) => (path === null ? null : lookAt(path)));
    if (there instanceof Error) return `the gate waits until ${exists} is there: ${messageOf(there)}`;
    if (there === false) return `the gate waits until ${exists} is there`;
    if (gone instanceof Error) return `the gate waits until ${absent} is gone: ${messageOf(gone)}`;
    if (gone === true) return `the gate waits until ${absent} is gone`;
    if (between === null) return null;
    const judged = judgeWindow(between, zone, ports.wallClock());
    if (judged.open) return null;
    if (judged.again === null)
      return `the gate waits until ${windowText(between)} ${zone}, and for the clock to be set`;
    times.push(now() + judged.again);
    return `the gate waits until ${windowText(between)} ${zone}`;
  }

  /** Asked last: it may take its time. */
  function programsOf(gates: readonly Gate[], generation: string, times: number[]): string | null {
    for (const { exec, timeout, every } of gates) {
      if (exec === null) continue;
      const key = JSON.stringify(exec);
      const known = programs.get(key);
      // A yes of long ago, before a lock or a time of day was waited for, is none.
      const isOld = known?.answer !== undefined && now() >= known.at + every;
      if (known === undefined || known.of !== generation || isOld) {
        programs.set(key, { of: generation, answer: undefined, at: now() });
        if (!endedLeft) endLeftPrograms(ports.launcher);
        endedLeft = true;
        const program = startGateProgram(exec, timeout);
        running.add(program);
        void program.answer.then((answer) => {
          running.delete(program);
          if (closed || programs.get(key)?.of !== generation) return;
          programs.set(key, { of: generation, answer, at: now() });
          changed();
        });
        return `the gate asks ${exec[0] ?? ''}`;
      }
      if (known.answer === undefined) return `the gate asks ${exec[0] ?? ''}`;
      if (known.answer === null) continue;
      times.push(known.at + every);
      return `the gate waits for ${exec[0] ?? ''}, which ${known.answer}`;
    }
    return null;
  }

  function aheadOf(generation: string, times: number[]): string | null {
    const isOld = ahead?.answer !== undefined && ahead.answer.length > 0 && now() >= ahead.at + aheadAgain;
    if (ahead === null || ahead.of !== generation || isOld) {
      ahead = { of: generation, answer: undefined, at: now() };
      ports.lookAhead().then(
        (answer) => {
          if (closed || ahead?.of !== generation) return;
          ahead = { of: generation, answer, at: now() };
          changed();
        },
        (error: unknown) => {
          ahead = { of: generation, answer: [`the look ahead failed: ${String(error)}`], at: now() };
          failed(error);
          changed();
        },
      );
    }
    if (ahead.answer === undefined) return 'the host is looked at';
    if (ahead.answer.length === 0) return null;
    times.push(ahead.at + aheadAgain);
    return `${ahead.answer.join('; ')} (apply --force goes on)`;
  }

  function follow(paths: ReadonlySet<string>): void {
    for (const [path, watch] of watched) {
      if (paths.has(path)) continue;
      watched.delete(path);
      watch.then((each) => each.close()).catch(failed);
    }
    for (const path of paths) {
      if (watched.has(path)) continue;
      const blind = createBlindness((why) => ports.blind(path, why));
      const watch = watchFile(path, { changed, blind, failed });
      watched.set(path, watch);
      // It may have come before the watch did.
      watch.then(changed, failed);
    }
  }

  return {
    waits,
    close() {
      closed = true;
      for (const program of running) program.end();
      follow(new Set());
    },
  };
}

/** Whether something is there; what cannot be looked at is neither there nor gone. */
function lookAt(path: string): boolean | Error {
  try {
    return statSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch (error) {
    return error as Error;
  }
}
