// A device for documents on trial: its disk, its runDir and its document's file, on which the power fails at any call.
import type { Generation, GenerationFiles, Stored } from '../../state/document/generation-files.ts';
import type { BootFile, BootState } from '../../state/document/boot-state.ts';
import { emptyBoot } from '../../state/document/boot-state.ts';
import type { DocumentFiles } from '../../state/file/document-files.ts';
import type { Locked } from '../../state/store.ts';
import type { KeptData } from '../../state/observed.ts';
import type { KeptText } from '../../state/file/kept-text.ts';
import type { Random } from './random.ts';

interface Medium {
  readonly generations: Map<number, Generation>;
  readonly locks: Map<number, ReadonlyMap<string, Locked>>;
  readonly texts: Map<string, string>;
}

/** One start of a version, which leaves a mark in the persistent data. */
export interface Mark {
  readonly version: string;
  /** Nothing was on trial then. */
  readonly stays: boolean;
}

/** Persistent data of the one container; `kept` lies beside it, and its own goes when that is put back. */
export interface DataDirectory {
  data: readonly Mark[] | null;
  kept: (KeptData & { readonly data: readonly Mark[] | null }) | null;
}

const medium = (): Medium => ({ generations: new Map(), locks: new Map(), texts: new Map() });

export interface TrialDevice {
  readonly disk: Medium;
  readonly directory: DataDirectory;
  /** The document's file, and what reverts have left beside it. */
  file: string;
  readonly left: Map<string, string>;
  full: boolean;
  /** The document's file takes nothing. */
  fixed: boolean;
  boot: number;
  /** Calls until the power, or the process, ends; null = it does not. */
  cut: number | null;
  /** The call that the end comes in may have had its effect. */
  readonly dead: () => boolean;
  /** Resolves when it has come. */
  ended: Promise<void>;
  /** Another process begins; `reboot`: in another boot, and nothing of runDir is left. */
  revive(reboot: boolean): void;
  ports(): {
    readonly disk: GenerationFiles;
    readonly passing: GenerationFiles;
    readonly boot: BootFile;
    /** Texts of the runtime's own, on the disk and in runDir. */
    readonly lasting: (name: string) => KeptText;
    readonly passingText: (name: string) => KeptText;
    readonly files: DocumentFiles;
    /** Does something to the persistent data; `grows`: which takes room. */
    readonly onData: (act: (directory: DataDirectory) => void, grows?: boolean) => Promise<void>;
  };
}

const failure = (code: string): Error => Object.assign(new Error(code), { code });

export function createTrialDevice(random: Random, text: string): TrialDevice {
  let passing = medium();
  let kept: BootState = emptyBoot;
  let life = 0;
  let isDead = false;
  let end = Promise.withResolvers<undefined>();
  const device: TrialDevice = {
    disk: medium(),
    directory: { data: null, kept: null },
    file: text,
    left: new Map(),
    full: false,
    fixed: false,
    boot: 1,
    cut: null,
    dead: () => isDead,
    ended: end.promise,
    revive(reboot) {
      life += 1;
      isDead = false;
      device.cut = null;
      end = Promise.withResolvers();
      device.ended = end.promise;
      if (!reboot) return;
      device.boot += 1;
      passing = medium();
      kept = emptyBoot;
    },
    ports,
  };

  /** A call of one life: `effect` happens at once, or, when the end comes in it, perhaps. */
  function ports(): ReturnType<TrialDevice['ports']> {
    const own = life;
    async function call<T>(effect: () => T): Promise<T> {
      if (own !== life || isDead) return await new Promise<never>(() => undefined);
      if (device.cut !== null) {
        device.cut -= 1;
        if (device.cut < 0) {
          isDead = true;
          if (random.chance(0.5)) {
            try {
              effect();
            } catch {
              // What fails has had no effect.
            }
          }
          end.resolve(undefined);
          return await new Promise<never>(() => undefined);
        }
      }
      return effect();
    }
    const toDisk = (act: () => void): Promise<void> =>
      call(() => {
        if (device.full) throw failure('ENOSPC');
        act();
      });

    const filesOf = (on: Medium, write: (act: () => void) => Promise<void>): GenerationFiles => ({
      directory: '/simulated',
      path: ({ generation }) => String(generation),
      list: () =>
        call(() =>
          [...on.generations.values()]
            .map(({ generation, kind }): Stored => ({ generation, kind }))
            .sort((a, b) => a.generation - b.generation),
        ),
      read: ({ generation }) =>
        call(() => {
          const found = on.generations.get(generation);
          if (found === undefined) throw failure('ENOENT');
          return { ...found, lock: on.locks.get(generation) ?? found.lock };
        }),
      async prepare(generation) {
        await write(() => undefined);
        return {
          commit: () => write(() => void on.generations.set(generation.generation, generation)),
          discard: () => call(() => undefined),
        };
      },
      writeLock: (generation, lock) => write(() => void on.locks.set(generation, lock)),
      remove: ({ generation }) => call(() => void on.generations.delete(generation)),
      refuses: () => call(() => null),
    });

    const textOn = (on: Medium, name: string, write: (act: () => void) => Promise<void>): KeptText => ({
      path: `/simulated/${name}`,
      read: () => call(() => on.texts.get(name) ?? null),
      write: (content) => write(() => void on.texts.set(name, content)),
      remove: () => call(() => void on.texts.delete(name)),
    });

    return {
      onData: (act, grows = false) => (grows ? toDisk : call)(() => act(device.directory)),
      disk: filesOf(device.disk, toDisk),
      passing: filesOf(passing, call),
      boot: {
        path: '/simulated/overlay.json',
        read: () => call(() => kept),
        save: (state) => call(() => void (kept = state)),
        restore: () => Promise.resolve(),
      },
      lasting: (name) => textOn(device.disk, name, toDisk),
      passingText: (name) => textOn(passing, name, call),
      files: {
        read: () =>
          call(() => ({
            ...{ kind: 'text', text: device.file, target: '/simulated/desired.yaml', signature: null },
            ...{ uid: 0, gid: 0, mode: 0o644 },
          })),
        replace: (old, next) =>
          call(() => {
            if (device.fixed) throw failure('EROFS');
            const before = device.file;
            device.file = next;
            return before === old.text ? null : before;
          }),
        create: (_, next) => call(() => ((device.file = next), null)),
        leave: (path, next) =>
          call(() => {
            if (device.fixed) throw failure('EROFS');
            device.left.set(path, next);
          }),
        others: () => call(() => []),
        remove: () => call(() => undefined),
      },
    };
  }
  return device;
}
