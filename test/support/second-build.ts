// A second build of the runtime that differs from this checkout's, made of its sources by a few edits: another version, a field more
// in what is handed over and in the records, a request more on the wire.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');

interface Edit {
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/** Each must fit exactly once: sources that have moved on need other edits. */
const edits: readonly Edit[] = [
  { file: 'package.json', from: '"version": "0.1.0"', to: '"version": "0.1.1"' },
  // A field more in what is handed over.
  {
    file: 'native/launcher/core/attempts.h',
    from: '    uint32_t record_size;',
    to: '    uint32_t newer;\n    uint32_t record_size;',
  },
  {
    file: 'native/launcher/reexec/layouts.c',
    from: '    FIELD(45, TEXT, attempt, name),',
    to: '    FIELD(45, TEXT, attempt, name),\n    FIELD(900, NUMBER, attempt, newer),',
  },
  {
    file: 'native/launcher/core/exits.c',
    from: '    a->state = ATTEMPT_RUNNING;',
    to: '    a->state = ATTEMPT_RUNNING;\n    a->newer = 5;',
  },
  // A request more on the wire, which a launcher of this checkout refuses.
  { file: 'native/launcher/core/messages.h', from: '    R_NOP = 16,', to: '    R_NOP = 16,\n    R_NEWER = 200,' },
  {
    file: 'native/launcher/core/requests.c',
    from: '    case R_NOP:\n',
    to: '    case R_NEWER:\n    case R_NOP:\n',
  },
  { file: 'native/launcher/wire.h', from: 'WIRE_VERSION = ', to: 'WIRE_VERSION = 100 + ' },
  { file: 'native/wire/wire.ts', from: 'WIRE_VERSION = ', to: 'WIRE_VERSION = 100 + ' },
  { file: 'native/wire/wire.ts', from: '  nop: 16,', to: '  nop: 16,\n  newer: 200,' },
  {
    file: 'native/wire/launcher-requests.ts',
    from: '      ready: (generation) =>',
    to: '      newer: () => ask(request.newer, () => undefined),\n      ready: (generation) =>',
  },
  {
    file: 'native/wire/launcher-interface.ts',
    from: '  /** This generation was adopted',
    to: '  newer(): Promise<void>;\n  /** This generation was adopted',
  },
  {
    file: 'src/daemon.ts',
    from: '  await launcher.ready(generation);',
    to: '  await launcher.newer();\n  await launcher.ready(generation);',
  },
  // A field more in the records that are kept.
  {
    file: 'controllers/containers/attempt-record.ts',
    from: 'JSON.stringify(record)',
    to: "JSON.stringify({ ...record, newer: 'field' })",
  },
  {
    file: 'src/daemon/global-record.ts',
    from: 'JSON.stringify(record)',
    to: "JSON.stringify({ ...record, newer: 'field' })",
  },
];

export interface Installation {
  /** What `northstate reexec --to` is given. */
  readonly directory: string;
  readonly version: string;
  readonly command: string;
  [Symbol.dispose](): void;
}

/** This checkout. */
export const firstBuild = { directory: root, version: '0.1.0', command: join(root, 'src/cli/northstate') } as const;

/** Makes it, in a directory of its own; further `changes` are made as well. Throws when an edit does not fit. */
export function makeSecondBuild(changes: readonly Edit[] = []): Installation {
  return { ...make([...edits, ...changes]), version: '0.1.1' };
}

/** This build, in a directory of its own. */
export function copyFirstBuild(): Installation {
  return { ...make([]), version: firstBuild.version };
}

function make(all: readonly Edit[]): Omit<Installation, 'version'> {
  const directory = mkdtempSync(join(tmpdir(), 'northstate-second-'));
  for (const name of ['native', 'src', 'state', 'controllers', 'package.json', 'tsconfig.json']) {
    cpSync(join(root, name), join(directory, name), { recursive: true });
  }
  symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'));
  mkdirSync(join(directory, '.build'));
  for (const { file, from, to } of all) {
    const path = join(directory, file);
    const parts = readFileSync(path, 'utf8').split(from);
    if (parts.length !== 2) throw new Error(`${file} has ${parts.length - 1} times: ${from}`);
    writeFileSync(path, parts.join(to));
  }
  execFileSync('sh', [join(directory, 'native/launcher/build.sh')]);
  execFileSync('sh', [join(directory, 'native/player/build-player.sh')]);
  execFileSync('sh', [join(directory, 'native/bundle.sh')]);
  // As on a device there are only bundles.
  rmSync(join(directory, 'src/daemon.ts'));
  rmSync(join(directory, 'src/cli/main.ts'));
  return {
    directory,
    command: join(directory, 'src/cli/northstate'),
    [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }),
  };
}
