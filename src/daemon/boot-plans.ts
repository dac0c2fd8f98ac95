// The boot plan and the reconciler: what was played before it was there is told once, and what has converged is kept for the next
// boot.
import { hash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { usesBootPlan } from '../config/configuration.ts';
import { messageOf } from '../../state/errno.ts';
import type { State } from '../../state/store.ts';
import { readPlayed, startedIn, type Played } from '../boot/played.ts';
import type { Kept, KeepPlan } from '../boot/keep-plan.ts';
import { dropDraft, dropPlan } from '../boot/plan-file.ts';
import type { Settings } from './checked-configuration.ts';
import type { Controllers } from './daemon-controllers.ts';
import type { Daemon, DaemonState } from './daemon-state.ts';
import { openKeptValue, type KeptValue } from './kept-value.ts';
import { noteBoot } from '../boot/boot-note.ts';

export interface BootPlans {
  /** For the report. */
  facts(): { readonly played: Played | null; readonly kept: object | null };
  /** Everything is down, in order: resolves when there is a plan of what was in force, where one was still to be made. */
  leave(): Promise<void>;
}

export interface BootPlansPorts extends Daemon {
  readonly state: DaemonState;
  readonly controllers: Pick<Controllers, 'reconciler' | 'boot'>;
  readonly settings: Settings;
  /** Keeps the reconciler awake until it is called. */
  readonly hold: () => () => void;
}

/** What outlives this process. */
interface Remembered {
  /** What was played has been told. */
  readonly told: boolean;
  /** Which state the plan was made of. */
  readonly made: string;
}

/** Notes that this boot has begun, so that no launcher of it plays a plan, and tells what was played in it. */
export async function openBootPlans(ports: BootPlansPorts): Promise<BootPlans> {
  const { config, link, state, log } = ports;
  const value = openKeptValue<Remembered>(await state.memory('boot plan'));
  mkdirSync(config.runDir, { recursive: true, mode: 0o700 });
  noteBoot(config.runDir, state.boot);
  const fd = link.remembered.descriptors.get('played');
  const played = fd === undefined ? null : readPlayed(fd);
  if (played !== null && value.get()?.told !== true) tell(played, ports);
  const isFirst = value.get() === null;
  value.set({ made: '', ...value.get(), told: true });
  if (isFirst) await removed(dropDraft(config.stateDir), log);
  let kept: object | null = null;
  if (!usesBootPlan(config)) {
    await removed(dropPlan(config.stateDir), log);
    return { facts: () => ({ played, kept }), leave: () => Promise.resolve() };
  }
  const leave = keepConverged(value, ports, (now) => {
    kept = { ...now, left: Object.fromEntries(now.left) };
  });
  return { facts: () => ({ played, kept }), leave };
}

async function removed(removing: Promise<void>, log: Daemon['log']): Promise<void> {
  await removing.catch((err: unknown) => log.warn({ err }, 'a boot plan cannot be removed'));
}

function tell(played: Played, { log, state }: BootPlansPorts): void {
  const { refused, units, began, ended } = played;
  const left = units.flatMap(([name, why]) => (why === null ? [] : [`${name}: ${why}`]));
  const started = startedIn(played).length;
  const ms = Math.round(ended - began);
  if (refused === null) log.info({ started, left, ms }, 'what ran before the boot was started from its plan');
  else log.warn({ reason: refused }, 'the boot plan does not count: nothing was started from it');
  state.events.tell({ type: 'boot_plan', started, left, refused });
}

/** ms without a change before a plan is made: it costs more than most changes, and the last of several needs one. */
const lull = 300;
/**
 * Beside many containers it costs as much as they are: where changes go on, at most a tenth of the time goes to plans. After the last
 * one the next waits for so many times what that took, and so many ms at most.
 */
const pause = { share: 10, most: 30_000 } as const;

/**
 * Whenever nothing more is to be done for a while, and something is other than when the plan was made. Gives what makes one that
 * is still to be made when everything is down.
 */
function keepConverged(
  value: KeptValue<Remembered>,
  ports: BootPlansPorts,
  done: (kept: Kept) => void,
): () => Promise<void> {
  const { state, controllers, log, config, settings, hold } = ports;
  const { store, documents } = state;
  let keepPlan: KeepPlan | null = null;
  let seen: readonly unknown[] = [];
  let working = false;
  let under: Promise<void> = Promise.resolve();
  let waiting: { readonly timer: NodeJS.Timeout; readonly release: () => void } | null = null;
  /** When the next may be made, as performance.now() tells. */
  let next = 0;
  controllers.reconciler.onSettled(consider);
  let ending: State | null = null;
  // The next boot is about to come. What goes down from here on goes first.
  state.ending.onBegin(() => {
    if (waiting === null) return;
    clearTimeout(waiting.timer);
    waiting.release();
    waiting = null;
    ending = store.get();
  });

  function consider(): void {
    const now = store.get();
    const parts = partsOf(now);
    if (working || !now.status.converged || isSame(parts, seen)) return;
    seen = parts;
    if (waiting !== null) clearTimeout(waiting.timer);
    const timer = setTimeout(make, Math.max(lull, next - performance.now()));
    waiting = { timer, release: waiting?.release ?? hold() };
  }

  function make(): void {
    waiting?.release();
    waiting = null;
    const now = store.get();
    if (now.status.converged) write(now);
    else seen = [];
  }

  function write(now: State): void {
    const made = keyOf(now);
    if (value.get()?.made === made) return;
    seen = partsOf(now);
    working = true;
    const release = hold();
    const before = process.cpuUsage();
    under = keep(now, () => isSame(partsOf(store.get()), seen))
      .then(
        (kept) => {
          done(kept);
          const { user, system } = process.cpuUsage(before);
          next = performance.now() + Math.min((pause.share * (user + system)) / 1000, pause.most);
          if (kept.unkept === null) value.set({ told: true, made });
          log.debug({ ...kept, left: [...kept.left] }, 'boot plan');
        },
        (error: unknown) => log.warn({ reason: messageOf(error) }, 'the boot plan cannot be kept'),
      )
      .finally(() => {
        working = false;
        release();
        consider();
      });
  }

  async function keep(now: State, isPresent: () => boolean): Promise<Kept> {
    keepPlan ??= (await import('../boot/keep-plan.ts')).createKeepPlan();
    const overrides = {
      ...(settings.desired !== undefined && { desired: config.desired }),
      ...(settings['state-dir'] !== undefined && { stateDir: config.stateDir }),
    };
    const { text, isWritten } = documents.current();
    const ports = { ...controllers.boot, config, file: settings.config, overrides, isPresent };
    return await keepPlan(now, { ...ports, text: isWritten ? text : null });
  }

  return async () => {
    await under;
    // It was as the document says, unless something had changed since.
    if (ending !== null && isSame(partsOf(ending), seen)) write(ending);
    await under;
  };
}

/** What a plan is made of. */
function partsOf({ desired, lock, observed, overlay, document, conditions, trial }: State): readonly unknown[] {
  return [desired, lock, observed.packages, overlay, document, conditions, trial];
}

function isSame(parts: readonly unknown[], others: readonly unknown[]): boolean {
  return parts.every((part, index) => part === others[index]);
}

/** The same in few bytes. */
function keyOf({ document, generation, lock, observed, overlay, trial }: State): string {
  const packages = [...observed.packages.values()]
    .flat()
    .map(({ path, identity }) => [path, identity.ino, identity.ctimeMs]);
  return hash(
    'sha256',
    JSON.stringify([document.generation, generation, [...lock], packages, overlay.length, trial?.record.state]),
  );
}
