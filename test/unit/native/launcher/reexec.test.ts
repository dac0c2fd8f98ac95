// What one launcher hands over to the next: in C under the sanitizers, and against the structures in the headers.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

const fixtures = join(import.meta.dirname, '../../../fixtures');
const launcher = join(import.meta.dirname, '../../../../native/launcher');

test('what is handed over comes back whole; what is unknown is stepped over, what is cut off or too new is refused', () => {
  const directory = mkdtempSync(join(tmpdir(), 'northstate-handover-'));
  const program = join(directory, 'test');
  const flags =
    '-std=c17 -g -Wall -Wextra -Werror -Wno-unused-parameter -fsanitize=address,undefined -fno-sanitize-recover';
  const modules = [
    ...[
      'ancillary',
      'failure',
      'memory',
      'wire',
      'reexec/attempt-form',
      'reexec/form',
      'reexec/handover',
      'reexec/layouts',
    ],
    ...['attempts', 'keeps', 'relays', 'ring', 'sources', 'streams', 'watches'].map((name) => `core/${name}`),
    'sandbox/control',
  ];
  try {
    const files = [join(import.meta.dirname, 'handover-round.c'), join(import.meta.dirname, 'handover-init.c')];
    const sources = [...files, ...modules.map((name) => join(launcher, `${name}.c`))];
    const defines = ['-DRUNTIME_VERSION="0.0.0"', '-o', program];
    execFileSync(process.env['CC'] ?? 'cc', [...flags.split(' '), ...defines, ...sources]);
    const env = { ...process.env, ASAN_OPTIONS: 'detect_leaks=0' };
    assert.equal(
      execFileSync(program, { encoding: 'utf8', env }),
      'the state is that of northstate 0.9.0: form 9, which needs a reader of form 9; this one reads 1\n',
    );
    const released = globSync('state-*/handover', { cwd: fixtures });
    assert.ok(released.length > 0);
    for (const file of released) {
      const said = execFileSync(program, [join(fixtures, file)], { encoding: 'utf8', env });
      assert.equal(said, '2 attempts, 2 kept, 1 locks\n', file);
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
});

/** The members of a structure as a header declares it. */
function membersOf(header: string, structure: string): string[] {
  const text = readFileSync(join(launcher, header), 'utf8').replaceAll(/\/\*[\s\S]*?\*\//g, '');
  const [, body = ''] = new RegExp(`struct ${structure} \\{([^{}]*)\\};`).exec(text) ?? [];
  assert.notEqual(body, '', `struct ${structure} in ${header}`);
  return body
    .split(';')
    .flatMap((declaration) => declaration.split(','))
    .flatMap((declaration) => /(\w+)(?:\[\w+(?: \+ 1)?\])?\s*$/.exec(declaration.trim())?.[1] ?? []);
}

const structures: readonly [list: string, prefix: string, header: string, structure: string][] = [
  ['launcher', '', 'core/launcher.h', 'launcher'],
  ['launcher', 'reconciler.', 'core/launcher.h', 'reconciler'],
  ['launcher', 'sleep.', 'core/launcher.h', 'sleep'],
  ['launcher', 'liveness.', 'core/liveness.h', 'liveness'],
  ['launcher', 'arrivals.', 'core/arrivals.h', 'arrivals'],
  ['launcher', 'reexec.', 'reexec/state.h', 'reexec'],
  ['attempt', '', 'core/attempts.h', 'attempt'],
  ['attempt', 'init.', 'sandbox/launch.h', 'init'],
  ['attempt', 'health.', 'core/health-state.h', 'health'],
  ['attempt', 'ring.', 'core/ring.h', 'ring'],
  ['attempt', 'failure.', 'failure.h', 'failure'],
  ['keep', '', 'core/keeps.h', 'keep'],
  ['relay', '', 'core/relays.h', 'relay'],
  ['session', '', 'core/session-table.h', 'session'],
  ['held', '', 'core/locks.h', 'held'],
  ['stream', '', 'core/streams.h', 'stream'],
  ['outside', '', 'reexec/layouts.h', 'outside'],
];

/** The lines of a list: number, kind and member. */
function linesOf(list: string): { number: number; kind: string; member: string }[] {
  const text = readFileSync(join(launcher, 'reexec/layouts.c'), 'utf8');
  return [...text.matchAll(/FIELD\((\d+), (\w+), (\w+), ([\w.[\]]+)\)/g)]
    .filter(([, , , structure]) => structure === list)
    .map(([, number, kind = '', , member = '']) => ({ number: Number(number), kind, member }));
}

for (const [list, prefix, header, structure] of structures) {
  test(`every member of struct ${structure} is handed over, or is said not to be`, () => {
    const listed = new Set(
      linesOf(list).flatMap(({ member }) => {
        if (!member.startsWith(prefix)) return [];
        return member.slice(prefix.length).split(/[.[]/)[0] ?? [];
      }),
    );
    const members = membersOf(header, structure);
    assert.ok(members.length > 1);
    assert.deepEqual(
      members.filter((member) => !listed.has(member)),
      [],
    );
  });
}

test('a number of a list stands for one member', () => {
  for (const list of new Set(structures.map(([name]) => name))) {
    const numbers = linesOf(list).flatMap(({ number, kind }) => (/LEFT|ELSEWHERE/.test(kind) ? [] : [number]));
    assert.equal(new Set(numbers).size, numbers.length, list);
    assert.ok(numbers.every((number) => number > 0 && number < 1000));
  }
});
