// Op lists as the launcher reads them: what native/wire/ops.ts writes is understood, and nothing that is malformed is.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { encodeOps, opTable, type Op } from '../../../../native/wire/ops.ts';

const launcher = join(import.meta.dirname, '../../../../native/launcher');
const directory = mkdtempSync(join(tmpdir(), 'northstate-ops-'));
after(() => rmSync(directory, { recursive: true }));
const parser = compile();

function compile(): string {
  const output = join(directory, 'ops');
  const flags = '-std=gnu17 -g -O1 -Wall -Wextra -Werror -fsanitize=address,undefined -fno-sanitize-recover'.split(' ');
  const sources = ['sandbox/ops.c', 'sandbox/payload.c', 'wire.c', 'failure.c'].map((name) => join(launcher, name));
  execFileSync(process.env['CC'] ?? 'cc', [
    ...flags,
    '-o',
    output,
    join(import.meta.dirname, 'ops-reader.c'),
    ...sources,
  ]);
  return output;
}

/** What the launcher makes of lists; descriptors are 100, 101 and 102. */
function parse(kind: 'prepare' | 'go' | 'join', lists: readonly Uint8Array[]): string[] {
  const input = lists.map((list) => `${kind[0]} ${Buffer.from(list).toString('hex')}\n`).join('');
  const output = execFileSync(parser, { input, encoding: 'utf8', maxBuffer: 64 << 20 });
  return output
    .split('\n')
    .slice(0, -1)
    .map((line) => line.replace(/^[: ]/, ''));
}

const prepare: readonly Op[] = [
  { op: 'namespaces', flags: 0x20000000 },
  { op: 'cgroup-into', fd: 5 },
  { op: 'cgroup-join', fd: 6 },
  { op: 'output', stream: 1, mode: 'ring', size: 65536 },
  { op: 'output', stream: 2, mode: 'null', size: 0 },
  { op: 'oom', fd: 5 },
  { op: 'setns', fd: 6, flags: 0x40000000 },
  { op: 'hostname', name: 'box' },
  { op: 'root', fd: 7 },
  { op: 'tree', fd: 6, target: '/data' },
  { op: 'filesystem', type: 'tmpfs', target: '/tmp', attributes: 14, options: ['size=64k', 'mode=1777'] },
  { op: 'node', path: '/dev/null', mode: 0o020666, major: 1, minor: 3 },
  { op: 'symlink', target: '/proc/self/fd', path: '/dev/fd' },
  { op: 'mask', path: '/proc/keys' },
  { op: 'pivot' },
  { op: 'notify', name: '/dev/northstate-notify' },
  { op: 'attributes', target: '/data', set: 1, clear: 0, recursive: true },
  { op: 'rlimit', resource: 7, soft: 64, hard: null },
  { op: 'ids', uid: 1000, gid: 1000, groups: [1, 2, 3] },
  { op: 'capabilities', bounding: 1n, permitted: 1n, effective: 1n, inheritable: 1n, ambient: 1n },
  { op: 'seccomp', filter: Buffer.from('060000000000ff7f', 'hex') },
  { op: 'umask', mask: 0o22 },
  { op: 'cwd', path: '/' },
  { op: 'schedule', policy: 0, nice: -1, priority: 0 },
  { op: 'label', context: 'user_u:role_r:type_t' },
  { op: 'oom-score', score: -100 },
];
const go: readonly Op[] = [
  { op: 'write', fd: 5, bytes: Buffer.from('100'), path: '/cg/cpu.max' },
  { op: 'owner', fd: 6, uid: 1, gid: 2, mode: 0o700 },
  { op: 'descriptor', fd: 7, number: 3 },
  { op: 'exec', path: '/app', arguments: ['/app', ''], environment: ['A=b'] },
];
const joining: readonly Op[] = [
  { op: 'cgroup-join', fd: 6 },
  { op: 'ids', uid: 1000, gid: 1000, groups: [] },
  { op: 'tools', fd: 7, names: ['sh', 'ls'] },
  { op: 'terminal' },
  { op: 'descriptor', fd: 5, number: 0 },
];
const shell: readonly Op[] = [...joining, { op: 'exec', path: 'sh', arguments: ['sh'], environment: [] }];
const look: readonly Op[] = [...joining, { op: 'look', kind: 'unix', path: '/run/s' }];
const copy: readonly Op[] = [...joining, { op: 'copy', direction: 'in', size: 2 ** 40, mode: 0o644, path: '/data/a' }];
const bytesOf = (ops: readonly Op[]) => encodeOps(ops).bytes;

test('understands every op as it is written', () => {
  assert.deepEqual(parse('prepare', [bytesOf(prepare)]), [
    '1 2#100 3#101 4 4 5#100 6#101 7 8#102 9#101:/data 10:tmpfs:/tmp:size=64k:mode=1777 12 13 15:/proc/keys 14 16:/dev/northstate-notify 11 20 21:1:2:3 22 23:1:2147418112 24 25 26 27:user_u:role_r:type_t 28',
  ]);
  assert.deepEqual(parse('go', [bytesOf(go)]), ['43#100 42#101 41#102 40:/app:/app::A=b']);
  assert.deepEqual(parse('join', [bytesOf(shell), bytesOf(copy), bytesOf(look)]), [
    '3#100 21 45#101:sh:ls 44 41#102 40:sh:sh',
    '3#100 21 45#101:sh:ls 44 41#102 46:1:1099511627776:/data/a',
    '3#100 21 45#101:sh:ls 44 41#102 47:1:/run/s',
  ]);
  const named = new Set([...prepare, ...go, ...shell, ...copy, ...look].map(({ op }) => op));
  assert.deepEqual([...named].sort(), Object.keys(opTable).sort(), 'ops that are not tried');
});

test('refuses every list that ends too early or goes on', () => {
  for (const [kind, ops] of [
    ['prepare', prepare],
    ['go', go],
    ['join', shell],
  ] as const) {
    const whole = bytesOf(ops);
    const prefixes = Array.from({ length: whole.length }, (_, size) => whole.subarray(0, size));
    for (const answer of parse(kind, [...prefixes, Buffer.concat([whole, Buffer.of(0)])])) assert.match(answer, /^op/);
  }
});

test('reads nothing outside of a list, whatever its bytes are', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(4000), fc.nat(255)), { minLength: 1, maxLength: 4 }),
      fc.boolean(),
      (edits, isGo) => {
        const broken = Buffer.from(bytesOf(isGo ? go : prepare));
        for (const [at, value] of edits) broken[at % broken.length] = value;
        assert.equal(parse(isGo ? 'go' : 'prepare', [broken]).length, 1);
      },
    ),
    { numRuns: 60 },
  );
});

const huge = Buffer.alloc(4, 0xff);

/** The list of one op with this payload. */
function list(number: number, payload: Uint8Array): Uint8Array {
  const header = Buffer.alloc(8);
  header.writeUInt16LE(1, 0);
  header.writeUInt16LE(number, 2);
  header.writeUInt32LE(payload.length, 4);
  return Buffer.concat([header, payload]);
}

test('refuses counts and lengths that claim more than is there', () => {
  const ids = Buffer.concat([Buffer.alloc(8), huge]);
  const groups = Buffer.concat([Buffer.alloc(8), Buffer.from([0, 4, 0, 0])]);
  const answers = parse('prepare', [
    list(21, ids),
    list(21, groups),
    list(7, huge),
    list(23, huge),
    Buffer.from([0xff, 0xff]),
  ]);
  assert.deepEqual(answers, [
    'op 0 of the list',
    'op 0 of the list',
    'op 0 of the list',
    'op 0 of the list',
    'op list',
  ]);
});

const misplaced: readonly (readonly [string, 'prepare' | 'go' | 'join', readonly Op[]])[] = [
  ['an op of the go list in the prepare list', 'prepare', go],
  ['an op of the prepare list in the go list', 'go', [{ op: 'pivot' }, ...go]],
  ['a go list without exec', 'go', go.slice(0, 3)],
  ['who joins and does nothing', 'join', joining],
  ['who joins, executes and copies', 'join', [...shell, ...copy.slice(-1)]],
  ['a root of who joins', 'join', [{ op: 'root', fd: 5 }, ...shell]],
  ['a terminal in a go list', 'go', [{ op: 'terminal' }, ...go]],
  ['two execs', 'go', [...go, ...go.slice(3)]],
  ['a mount before the root', 'prepare', [{ op: 'tree', fd: 5, target: '/data' }]],
  ['attributes before the pivot', 'prepare', [{ op: 'attributes', target: '/', set: 1, clear: 0, recursive: false }]],
  [
    'two roots',
    'prepare',
    [
      { op: 'root', fd: 5 },
      { op: 'root', fd: 6 },
    ],
  ],
  [
    'an empty target',
    'prepare',
    [
      { op: 'root', fd: 5 },
      { op: 'tree', fd: 6, target: '' },
    ],
  ],
  [
    'a node that is a block device',
    'prepare',
    [
      { op: 'root', fd: 5 },
      { op: 'node', path: '/d', mode: 0o060666, major: 1, minor: 1 },
    ],
  ],
  ['an id that would leave the application root', 'prepare', [{ op: 'ids', uid: 0xffffffff, gid: 1, groups: [] }]],
  ['an unknown resource limit', 'prepare', [{ op: 'rlimit', resource: 16, soft: 1, hard: 1 }]],
  ['a filter that is no whole number of instructions', 'prepare', [{ op: 'seccomp', filter: Buffer.alloc(12) }]],
  ['a host name that is too long', 'prepare', [{ op: 'hostname', name: 'n'.repeat(65) }]],
];
for (const [what, kind, ops] of misplaced) {
  test(`refuses ${what}`, () => {
    assert.match(parse(kind, [bytesOf(ops)])[0] ?? '', /^op \d+ of the list$/);
  });
}

test('refuses an unknown op, and a descriptor that did not come along', () => {
  const [unknown, absent] = parse('prepare', [list(16, Buffer.alloc(0)), list(8, Buffer.from([3, 0]))]);
  assert.deepEqual([unknown, absent], ['op 0 of the list', 'op 0 of the list']);
});
