// At rest this process is not there: when nothing is left to do and everything that it waits for is a descriptor, a path or a
// deadline, the launcher takes the waiting over and this process ends. What rings starts the next one, which adopts.
import { closeSync, lstatSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { inotifyMask, openInotify } from '../../native/inotify.ts';
import { callsUnderWay } from '../../native/libc.ts';
import { watchedNames } from '../../state/file/names-watch.ts';
import type { Store } from '../../state/store.ts';
import type { Log } from '../logs/log.ts';
import type { LauncherLink } from './launcher-link.ts';

/** What keeps this process awake. */
export interface Rest {
  /** Something has happened: the rest that is asked for begins anew. */
  stir(): void;
  /** Something is under way that must not be interrupted; gives the function that says that it is over. */
  hold(): () => void;
  /** How often it was stirred. */
  moves(): number;
  /** How much is under way. */
  held(): number;
  /** Calls the listener whenever it is stirred. */
  onStir(listener: () => void): void;
}

export interface SleepPorts {
  readonly link: LauncherLink;
  readonly store: Pick<Store, 'subscribe'>;
  readonly rest: Rest;
  /** ms of rest before a sleep; null: never. */
  readonly after: number | null;
  /** Nothing is planned, performed or to be said. */
  readonly isIdle: () => boolean;
  /** Listening sockets at which this process waits; the launcher keeps them. */
  readonly listening: () => readonly { readonly descriptor: number; readonly isFile: boolean }[];
  /** Connections on which the launcher waits in the place of this process; takeBack() ends that. */
  readonly connections: { handOver(): Promise<void>; takeBack(): Promise<void> };
  /** What containers write is put into our own log, and so rings. */
  readonly logsOutput: boolean;
  /** Called right before the end, when nothing can keep this process any more. */
  readonly ending: () => void;
  readonly log: Log;
  readonly failed: (error: unknown) => void;
}

/** Watches of others have smaller keys. From `listenerBell` on they are those of listeners, below those of files. */
export const firstBell = 2 ** 50;
export const listenerBell = firstBell + 2 ** 20;

/** What may be open at rest: watches of files, whose place a bell takes, and listeners on TCP. */
const restful: ReadonlySet<string> = new Set(['FSEventWrap', 'TCPServerWrap']);

/** A sleep is never tried more often than this, in ms, so that what never rests is not looked at all the time. */
const shortestRest = 10;

export function createRest(): Rest {
  let moves = 0;
  let held = 0;
  const listeners = new Set<() => void>();
  const stir = (): void => {
    moves += 1;
    for (const listener of listeners) listener();
  };
  return {
    stir,
    hold() {
      held += 1;
      stir();
      let isOver = false;
      return () => {
        if (isOver) return;
        isOver = true;
        held -= 1;
        stir();
      };
    },
    moves: () => moves,
    held: () => held,
    onStir: (listener) => void listeners.add(listener),
  };
}

/** From now on this process ends as soon as it has rested for `after`. */
export function followSleep({ link, store, rest, after, logsOutput, log, failed, ...ports }: SleepPorts): void {
  if (after === null) return;
  const { launcher } = link;
  // It keeps nothing running by itself, and is no reason to stay awake.
  const timer = setTimeout(() => void consider().catch(failed), Math.max(after, shortestRest)).unref();
  let lying = false;
  rest.onStir(() => timer.refresh());
  store.subscribe(rest.stir);
  const { stir } = rest;
  link.listen({ attempt: stir, watch: stir, deadline: stir, terminate: stir, ...(logsOutput && { output: stir }) });

  /** What keeps it awake; empty when nothing does. */
  function reasons(): string[] {
    if (rest.held() > 0) return ['a request is under way, or something is sent'];
    if (!ports.isIdle() || !launcher.idle() || callsUnderWay() > 0) return ['something is done'];
    const open = process.getActiveResourcesInfo().filter((kind) => !restful.has(kind));
    // Pipes are the connection with the launcher, the listeners on files, and clients that are not kept.
    const pipes = 1 + ports.listening().filter(({ isFile }) => isFile).length;
    const isPipe = (kind: string): boolean => kind === 'PipeWrap';
    return [...open.filter((kind) => !isPipe(kind)), ...open.filter(isPipe).slice(pipes)];
  }

  async function consider(): Promise<void> {
    if (lying) return;
    const awake = reasons();
    if (awake.length > 0) {
      log.trace({ awake }, 'stays awake');
      timer.refresh();
      return;
    }
    lying = true;
    await lieDown().finally(() => (lying = false));
  }

  async function lieDown(): Promise<void> {
    const before = rest.moves();
    const bell = openBell(log);
    if (bell === null) {
      timer.refresh();
      return;
    }
    const bells = new Map([
      [firstBell, bell] as const,
      ...ports.listening().map(({ descriptor }, index) => [listenerBell + index, descriptor] as const),
    ]);
    await Promise.all([...bells].map(([key, fd]) => launcher.watch(key, 'readable', fd)));
    await ports.connections.handOver();
    // What has happened before the bells were hung is heard within a turn.
    await turn();
    await turn();
    const isAtRest = (): boolean => rest.moves() === before && reasons().length === 0;
    if (isAtRest() && (await launcher.sleep(logsOutput)) && isAtRest()) {
      ports.ending();
      process.kill(process.pid, 'SIGKILL');
    }
    closeSync(bell);
    await Promise.all([...bells.keys()].map((key) => launcher.unwatch(key)));
    await ports.connections.takeBack();
    timer.refresh();
  }
}

/**
 * A descriptor that is readable once something has happened to what is watched. The watches of this process end with it, and
 * tell of everything in a directory; here a name that matters is watched by itself, so that others in its directory ring only
 * as long as it is not there. Null: there cannot be one now.
 */
function openBell(log: Log): number | null {
  const paths = watchedNames().flatMap(({ directory, names }) =>
    names === null
      ? [[directory, inotifyMask.all] as const]
      : [[directory, inotifyMask.end] as const, ...[...names].map((name) => maskOf(directory, name))],
  );
  try {
    return openInotify(paths);
  } catch (err) {
    log.debug({ err }, 'what is watched cannot be handed over');
    return null;
  }
}

function maskOf(directory: string, name: string): readonly [path: string, mask: number] {
  const path = join(directory, name);
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return [directory, inotifyMask.coming];
  return [path, found.isDirectory() ? inotifyMask.end : inotifyMask.file];
}
