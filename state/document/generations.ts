// The stored generations: the last of file and apply, and of the console. What the disk does not take is kept in runDir until
// it does; so is a copy of the newest, which a reconciler of this boot goes on with when the disk does not give it.
import { errnoOf, hasErrno, messageOf } from '../errno.ts';
import type { Stand } from '../standing.ts';
import type { PreparedFile } from '../file/write-file.ts';
import type { TrialFile } from '../trial/trial-file.ts';
import type { GenerationFiles, Stored } from './generation-files.ts';
import type { Generation, Summary } from './generation.ts';
import { sameLock, type Lock } from './lock.ts';

export interface Generations {
  /** Numbers and kinds of what is stored, oldest first. */
  list(): readonly Stored[];
  /** Reads one, with the last lock that was stored for it; null when it is not stored, not understood, or not to be read now. */
  read(generation: number): Promise<Generation | null>;
  /** What is shown of one; null as read() has it. */
  summary(generation: number): Promise<Summary | null>;
  /** Why one is not on the disk; null = it is. */
  lacks(generation: number): string | null;
  /** Why it is not known which generations there are, or (given a number) what one says; null = it is. */
  unread(generation?: number): string | null;
  /** Writes one to the disk; with `commit` it is stored for good and what is no longer kept goes. Never rejects. */
  prepare(generation: Generation): Promise<PreparedFile>;
  /** Stores what the requirements of a generation were resolved to, once more of them are. Never rejects. */
  writeLock(generation: number, lock: Lock): Promise<void>;
  /** Reads and stores what could not be; false = not all of it yet. */
  settle(): Promise<boolean>;
  /** Writes again what was deleted in runDir. */
  restore(): Promise<void>;
}

export interface GenerationsOptions {
  readonly disk: GenerationFiles;
  /** Those that last until the boot ends. */
  readonly passing: GenerationFiles;
  /** Why the disk's last no longer either, and which directory that is said of; null = they do. */
  readonly away: { readonly directory: string; readonly why: string } | null;
  readonly stand: Stand;
  readonly warn: (fields: object, message: string) => void;
  /** Why nothing may go to the disk now, null = it may; and the generation that a trial goes back to, null = there is none. */
  readonly trial?: Pick<TrialFile, 'held' | 'target'>;
  /** Something could not be read or stored: `settle` is to be called after a while. */
  readonly failed: () => void;
}

const noTrial: Pick<TrialFile, 'held' | 'target'> = { held: () => null, target: () => null };

const KEPT = 20;
const FOLD = 1000;

export const SCHEMA = 'northstate/v1';

/** Opens what is stored, and makes the directories. Rejects when stateDir is no directory. */
export async function openGenerations(options: GenerationsOptions): Promise<Generations> {
  const { disk, passing, away, stand, warn, trial = noTrial } = options;
  let onDisk: readonly Stored[] = [];
  let inBoot: readonly Stored[] = [];
  let unlisted: string | null = null;
  let readOnly: string | null = null;
  let newest: Generation | null = null;
  const unread = new Map<number, string>();
  const lacking = new Map<number, string>();
  const locks = new Map<number, Lock>();

  const list = (): readonly Stored[] => {
    const others = inBoot.filter(({ generation }) => onDisk.every((one) => one.generation !== generation));
    return others.length === 0 ? onDisk : [...onDisk, ...others].sort((a, b) => a.generation - b.generation);
  };
  const find = (all: readonly Stored[], number: number) => all.find(({ generation }) => generation === number);

  /** Looks at the disk's directory. */
  async function look(): Promise<void> {
    try {
      onDisk = await disk.list();
      unlisted = null;
    } catch (error) {
      if (hasErrno(error, 'ENOTDIR', 'EEXIST', 'ELOOP', 'ENAMETOOLONG')) throw error;
      // A disk that takes no directory has none of ours.
      unlisted = hasErrno(error, 'EROFS', 'ENOENT', 'ENOSPC') ? null : messageOf(error);
      readOnly = messageOf(error);
      return;
    }
    readOnly = await disk.refuses();
    for (const { generation } of inBoot) {
      if (find(onDisk, generation) === undefined && !lacking.has(generation))
        lacking.set(generation, 'it was not stored');
    }
  }

  async function lookInBoot(): Promise<void> {
    try {
      inBoot = await passing.list();
    } catch (err) {
      const { directory } = passing;
      warn({ err, directory }, 'what was kept of the generations until the boot ends cannot be read');
    }
  }

  function tell(): void {
    const numbers = [...lacking.keys()].sort((a, b) => a - b);
    const why = readOnly ?? lacking.get(numbers.at(-1) ?? 0) ?? null;
    if (away !== null)
      stand('NotDurable', away.directory, `${away.why}: what changes is kept here until the boot ends`);
    const which = numbers.length === 0 ? 'what changes from now on' : `generation ${numbers.join(', ')}`;
    const until = 'is kept until the boot ends, and is stored when the disk takes it';
    stand('NotDurable', disk.directory, why === null ? null : `${why}: ${which} ${until}`);
    const unreadable = unlisted ?? [...unread.values()][0] ?? null;
    stand('Unreadable', disk.directory, unreadable === null ? null : `${unreadable}; it is read again`);
    if (why !== null || unreadable !== null || locks.size > 0) options.failed();
  }

  async function readFrom<T>(
    files: GenerationFiles,
    stored: Stored | undefined,
    how: (files: GenerationFiles, stored: Stored) => Promise<T>,
  ): Promise<T | null> {
    if (stored === undefined) return null;
    try {
      const found = await how(files, stored);
      if (files === disk) unread.delete(stored.generation);
      return found;
    } catch (error) {
      warn({ err: error, path: files.path(stored) }, 'a stored generation cannot be read');
      if (files === disk && errnoOf(error) !== null) unread.set(stored.generation, messageOf(error));
      return null;
    }
  }

  const whole = (files: GenerationFiles, stored: Stored): Promise<Generation> => files.read(stored);
  const briefly = (files: GenerationFiles, stored: Stored): Promise<Summary> => files.summary(stored);

  async function read(number: number): Promise<Generation | null> {
    const onIt = await readFrom(disk, find(onDisk, number), whole);
    const found = onIt ?? (await readFrom(passing, find(inBoot, number), whole));
    if (found !== null && number === list().at(-1)?.generation) newest = found;
    tell();
    return found;
  }

  /** In runDir lie the newest and those that the disk does not have. */
  async function keep(stored: Generation): Promise<void> {
    try {
      const prepared = await passing.prepare(stored);
      await prepared.commit();
      const old = inBoot.filter(({ generation }) => generation !== stored.generation && !lacking.has(generation));
      for (const one of old) await passing.remove(one);
      const rest = inBoot.filter((one) => !old.includes(one) && one.generation !== stored.generation);
      inBoot = [...rest, prepared.stored];
    } catch (err) {
      warn(
        { err, directory: passing.directory, generation: stored.generation },
        'a generation cannot be kept in runDir',
      );
    }
  }

  async function remove(gone: Stored): Promise<void> {
    try {
      await disk.remove(gone);
      await passing.remove(gone);
      onDisk = onDisk.filter(({ generation }) => generation !== gone.generation);
      inBoot = inBoot.filter(({ generation }) => generation !== gone.generation);
      lacking.delete(gone.generation);
    } catch (err) {
      warn({ err, generation: gone.generation }, 'a generation that is no longer kept cannot be removed');
    }
  }

  async function prune(): Promise<void> {
    const consoles = list().filter(({ kind }) => kind === 'console');
    const others = list().filter(({ kind }) => kind !== 'console');
    const old = [...consoles.slice(0, -KEPT), ...others.slice(0, -KEPT)];
    const kept = [newest?.generation, trial.target()];
    for (const one of old) if (!kept.includes(one.generation)) await remove(one);
  }

  /** Gives one that the disk did not take to it; throws when it does not take it now. */
  async function store(number: number): Promise<void> {
    const held = newest?.generation === number ? newest : await readFrom(passing, find(inBoot, number), whole);
    if (held === null) {
      lacking.delete(number);
      return;
    }
    const prepared = await disk.prepare(held);
    await prepared.commit();
    onDisk = [...onDisk, prepared.stored].sort((a, b) => a.generation - b.generation);
    lacking.delete(number);
  }

  await lookInBoot();
  await look();
  tell();

  return {
    list,
    read,
    async summary(number) {
      const onIt = await readFrom(disk, find(onDisk, number), briefly);
      const found = onIt ?? (await readFrom(passing, find(inBoot, number), briefly));
      tell();
      return found;
    },
    lacks: (generation) =>
      away?.why ?? (lacking.has(generation) ? (readOnly ?? lacking.get(generation) ?? null) : null),
    unread: (generation) => (generation === undefined ? unlisted : (unread.get(generation) ?? null)),
    async prepare(generation) {
      const last = list().at(-1);
      const isPinned = last?.generation === trial.target();
      const folds = !isPinned && folded(newest, generation) && last?.generation === newest?.generation;
      const stored = folds && newest !== null ? { ...generation, since: newest.since } : generation;
      let why = trial.held(generation.generation);
      const failed = (error: unknown): null => {
        why = messageOf(error);
        return null;
      };
      const file = why === null ? await disk.prepare(stored).catch(failed) : null;
      return {
        async commit() {
          await file?.commit().catch(failed);
          if (why === null && file !== null) onDisk = [...onDisk, file.stored];
          else lacking.set(stored.generation, why ?? '');
          newest = stored;
          await keep(stored);
          if (folds && last !== undefined) await remove(last);
          await prune();
          tell();
        },
        async discard() {
          await file
            ?.discard()
            .catch((err: unknown) => warn({ err }, 'a generation that was not made cannot be removed'));
        },
      };
    },
    async writeLock(generation, lock) {
      try {
        await disk.writeLock(generation, lock);
        locks.delete(generation);
      } catch (err) {
        warn({ err, generation }, 'what versions were resolved to cannot be stored yet');
        locks.set(generation, lock);
      }
      if (find(inBoot, generation) !== undefined) {
        await passing
          .writeLock(generation, lock)
          .catch((err: unknown) => warn({ err }, 'a lock cannot be kept in runDir'));
      }
      tell();
    },
    async settle() {
      try {
        if (unlisted !== null || readOnly !== null) await look();
        for (const number of unread.keys()) await readFrom(disk, find(onDisk, number), whole);
        if (unlisted === null && readOnly === null) {
          const free = [...lacking.keys()].filter((number) => trial.held(number) === null);
          // The newest first: what is before it may be on trial, and must not be the last word of a disk that takes no more.
          for (const number of free.sort((a, b) => b - a)) await store(number);
          for (const [number, lock] of locks) {
            await disk.writeLock(number, lock);
            locks.delete(number);
          }
        }
      } catch (err) {
        for (const number of lacking.keys()) lacking.set(number, messageOf(err));
      }
      tell();
      return unlisted === null && readOnly === null && unread.size + lacking.size + locks.size === 0;
    },
    async restore() {
      const there = await passing.list();
      if (newest === null) return;
      // A patch is none without the one that it is of.
      if ((await readFrom(passing, find(there, newest.generation), whole)) === null) await keep(newest);
    },
  };
}

/** A console patch that follows another within a second replaces it in the history. */
function folded(before: Generation | null, next: Generation): boolean {
  const gap = before === null ? FOLD : next.time - before.since;
  return before?.kind === 'console' && next.kind === 'console' && gap >= 0 && gap < FOLD && !isRelocked(before, next);
}

/** The one before is still asked for: by the versions that it had. */
function isRelocked(before: Generation, next: Generation): boolean {
  return [...before.lock].some(([key, was]) => next.lock.has(key) && !sameLock(was, next.lock.get(key)));
}
