// A device for documents on trial: its disk, its runDir and its document's file, on which the power fails at any call.
import type { GenerationDirectory } from '../../state/document/generation-directory.ts';
import { filesIn, type GenerationFiles } from '../../state/document/generation-files.ts';
import type { BootFile, BootState } from '../../state/document/boot-state.ts';
import { emptyBoot } from '../../state/document/boot-state.ts';
import type { DocumentFiles } from '../../state/file/document-files.ts';
import type { KeptData } from '../../state/observed.ts';
import type { KeptText } from '../../state/file/kept-text.ts';
import type { Random } from './random.ts';
import { moveIn, textIn } from './sim-disk.ts';

interface Medium {
  /** Generations by the names of their files. */
  readonly files: Map<string, string>;
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

const medium = (): Medium => ({ files: new Map(), texts: new Map() });

/** Generations are stored whole and as patches, by turns. */
const terms = { least: 0, longest: 1500, part: Infinity, announced: () => Promise.resolve(true) };

export interface TrialDevice {
  /** Which version of the container a generation asks for, stored or not. */
  readonly asked: ReadonlyMap<number, string | null>;
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
  const disk = medium();
  const asked = new Map<number, string | null>();
  let passing = medium();
  let kept: BootState = emptyBoot;
  let life = 0;
  let isDead = false;
  let end = Promise.withResolvers<undefined>();
  const device: TrialDevice = {
    asked,
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

    const directoryOn = (on: Medium, write: (act: () => void) => Promise<void>): GenerationDirectory => ({
      path: '/simulated',
      names: () => call(() => [...on.files.keys()]),
      read: (name) => call(() => textIn(on.files, name)),
      size: (name) => call(() => (on.files.has(name) ? Buffer.byteLength(textIn(on.files, name)) : null)),
      async prepare(name, text) {
        await write(() => undefined);
        return { commit: () => write(() => void on.files.set(name, text)), discard: () => call(() => undefined) };
      },
      rename: (from, to) => call(() => moveIn(on.files, from, to)),
      remove: (name) => call(() => void on.files.delete(name)),
      refuses: () => call(() => null),
    });

    const filesOn = (on: Medium, write: (act: () => void) => Promise<void>): GenerationFiles => {
      const files = filesIn(directoryOn(on, write), terms);
      return {
        ...files,
        async prepare(generation) {
          asked.set(generation.generation, generation.desired.containers.get('app')?.version ?? null);
          return await files.prepare(generation);
        },
      };
    };

    const textOn = (on: Medium, name: string, write: (act: () => void) => Promise<void>): KeptText => ({
      path: `/simulated/${name}`,
      read: () => call(() => on.texts.get(name) ?? null),
      write: (content) => write(() => void on.texts.set(name, content)),
      remove: () => call(() => void on.texts.delete(name)),
    });

    return {
      onData: (act, grows = false) => (grows ? toDisk : call)(() => act(device.directory)),
      disk: filesOn(disk, toDisk),
      passing: filesOn(passing, call),
      boot: {
        path: '/simulated/overlay.json',
        read: () => call(() => kept),
        save: (state) => call(() => void (kept = state)),
        restore: () => Promise.resolve(),
      },
      lasting: (name) => textOn(disk, name, toDisk),
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
