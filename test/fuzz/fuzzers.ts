// The fuzzers of the launcher's and the boot player's parsers: each is a C program with libFuzzer and the address and undefined-behaviour
// sanitizers, built when a source is newer, and a small corpus in corpus/NAME.
import { execFileSync } from 'node:child_process';
import { existsSync, globSync, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');
const launcher = join(root, 'native/launcher');
/** Where programs, further inputs and findings are kept. */
export const output = join(root, '.build/fuzz');

/** What reads and writes the state that is handed over. */
const handover = ['attempt-form', 'form', 'handover', 'layouts'].map(inReexec);

/** The launcher's modules that each fuzzer is made of. */
const sources = {
  ops: ['wire', 'failure', 'sandbox/ops', 'sandbox/payload'],
  wire: [
    ...[
      'ancillary',
      'wire',
      'failure',
      'inherited',
      'signal-name',
      'sandbox/control',
      'sandbox/ops',
      'sandbox/payload',
    ],
    ...['health', 'notice', 'asking', 'senders'].map(inCore),
    ...[
      'attempts',
      'clock',
      'frames',
      'keeps',
      'liveness',
      'locks',
      'notify',
      'relays',
      'requests',
      'ring',
      'say',
      'service',
      'sleep',
    ].map(inCore),
    ...['seal'].map(inCore),
    ...[
      'sandbox/null-devices',
      ...handover,
      ...['descriptor', 'pass-on', 'proof', 'proving', 'resume', 'verdict'].map(inReexec),
    ],
    ...[
      'session-table',
      'sessions',
      'sources',
      'spare-network',
      'starts',
      'streams',
      'telling',
      'timers',
      'watches',
    ].map(inCore),
  ],
  plan: ['wire', '../player/plan', '../player/plan-patch'],
  handover: [
    ...['ancillary', 'wire', 'failure', 'sandbox/control', ...handover],
    ...['attempts', 'keeps', 'relays', 'ring', 'sources', 'streams'].map(inCore),
  ],
} as const;

function inReexec(name: string): string {
  return `reexec/${name}`;
}

function inCore(name: string): string {
  return `core/${name}`;
}

export type FuzzerName = keyof typeof sources;
export const fuzzerNames = Object.keys(sources) as FuzzerName[];

/** Where the inputs of a fuzzer lie that reach every part of what it tries. */
export function corpusOf(name: string): string {
  return join(import.meta.dirname, 'corpus', name);
}

/** What frees memory soon keeps a fuzzer several times faster; what the launcher holds until its end is no leak. */
export const fuzzEnvironment = {
  ...process.env,
  ASAN_OPTIONS: 'quarantine_size_mb=4:malloc_context_size=4:detect_leaks=0',
};

/** Builds a fuzzer if need be (clang-19 and libclang-rt-19-dev); gives its program. */
export function buildFuzzer(name: FuzzerName): string {
  const program = join(output, name);
  const files = [
    join(import.meta.dirname, `fuzz-${name}.c`),
    ...sources[name].map((file) => join(launcher, `${file}.c`)),
  ];
  const all = [
    ...files,
    join(import.meta.dirname, 'fuzz.h'),
    ...globSync(`{${launcher},${launcher}/../player}/**/*.{h,def}`),
  ];
  const made = existsSync(program) ? statSync(program).mtimeMs : 0;
  if (all.every((file) => statSync(file).mtimeMs < made)) return program;
  mkdirSync(output, { recursive: true });
  const flags =
    '-std=gnu17 -g -O2 -Wall -Wextra -Wno-unused-parameter -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -DRUNTIME_VERSION="0.0.0"';
  execFileSync('clang-19', [...flags.split(' '), '-o', program, ...files], { stdio: ['ignore', 'inherit', 'inherit'] });
  return program;
}
