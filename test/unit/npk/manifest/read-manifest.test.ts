import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Manifest } from '../../../../state/schema/manifest.ts';
import { ManifestError } from '../../../../src/npk/package-error.ts';
import { readManifest } from '../../../../src/npk/manifest/read-manifest.ts';

const base = 'name: a\nversion: 1.0.0\ninit: /a\nuid: 1\ngid: 1\n';

async function read(text: string): Promise<Manifest> {
  const { manifest, deprecations } = await readManifest(Buffer.from(text), { old: false });
  assert.deepEqual(deprecations, []);
  return manifest;
}

async function field(text: string, name: keyof Manifest): Promise<unknown> {
  return (await read(base + text))[name];
}

test('five fields are enough', async () => {
  assert.deepEqual(await read(base), { name: 'a', version: '1.0.0', init: '/a', uid: 1, gid: 1 });
});

test('where text is wanted a plain scalar is that text', async () => {
  assert.deepEqual(await field('args: [1, 2.50, true, 0x10, ~]', 'args'), ['1', '2.50', 'true', '0x10', '~']);
  const env = new Map(Object.entries({ A: '1.50', B: 'yes', C: '0o17', D: 'null', E: '1e3', F: '007' }));
  assert.deepEqual(await field('env: { A: 1.50, B: yes, C: 0o17, D: null, E: 1e3, F: 007 }', 'env'), env);
  assert.equal((await read(base.replace('name: a', 'name: 123'))).name, '123');
});

test('numbers are decimal, hexadecimal or octal', async () => {
  assert.equal((await read(base.replace('uid: 1', 'uid: 0x7d0'))).uid, 2000);
  assert.deepEqual(
    await field('sockets: { a: { type: stream, mode: 0o660 } }', 'sockets'),
    new Map([['a', { type: 'stream', mode: 0o660 }]]),
  );
});

test('numbers of 64 bits keep every digit', async () => {
  const seccomp = await field(
    'seccomp: { allow: { read: !args { index: 1, values: [18446744073709551615], mask: 0xffffffffffffffff } } }',
    'seccomp',
  );
  const args = { index: 1, values: [2n ** 64n - 1n], mask: 2n ** 64n - 1n };
  assert.deepEqual(seccomp, { allow: new Map([['read', { args }]]) });
});

test('null is absent, and so is what is empty', async () => {
  const text =
    'autostart:\nnetwork: null\ncustom: ~\nargs: []\nenv: {}\nmounts: {}\ncapabilities: []\nrlimits: {}\nsockets: {}\n';
  assert.deepEqual(await read(base + text), await read(base));
});

test('variants are tags in YAML and objects in JSON', async () => {
  const policy = { fifo: { priority: 7 } };
  assert.deepEqual(await field('sched: { policy: !fifo { priority: 7 } }', 'sched'), { policy });
  assert.deepEqual(await field('sched:\n  policy: !fifo\n    priority: 7', 'sched'), { policy });
  assert.deepEqual(await field('sched: { policy: !idle }', 'sched'), { policy: 'idle' });
  assert.deepEqual(await field('network: !namespace blue', 'network'), { namespace: 'blue' });
  const json = { name: 'a', version: '1.0.0', uid: 1, gid: 1, sched: { policy }, network: { namespace: 'blue' } };
  const { sched, network } = await read(JSON.stringify(json));
  assert.deepEqual({ sched, network }, { sched: { policy }, network: { namespace: 'blue' } });
  await assert.rejects(
    field('sched: { policy: { fifo: { priority: 7 } } }', 'sched'),
    /a variant is written with a tag in YAML/,
  );
});

test('TOML and JSON say the same as YAML', async () => {
  const toml =
    'name = "a"\nversion = "1.0.0"\ninit = "/a"\nuid = 1\ngid = 1\n[mounts."/proc"]\ntype = "proc"\n[seccomp.allow.read.args]\nindex = 0\nmask = 6\n';
  const yaml = await read(
    `${base}mounts: { /proc: { type: proc } }\nseccomp: { allow: { read: !args { index: 0, mask: 6 } } }`,
  );
  assert.deepEqual(await read(toml), yaml);
  const json =
    '{"name":"a","version":"1.0.0","init":"/a","uid":1,"gid":1,"mounts":{"/proc":{"type":"proc"}},"seccomp":{"allow":{"read":{"args":{"index":0,"mask":6}}}}}';
  assert.deepEqual(await read(json), yaml);
});

test('names that JavaScript knows are names like others', async () => {
  const env = await field('env: { __proto__: a, constructor: b, toString: c }', 'env');
  assert.deepEqual(
    env,
    new Map([
      ['__proto__', 'a'],
      ['constructor', 'b'],
      ['toString', 'c'],
    ]),
  );
  await assert.rejects(read(`${base}__proto__: { x: 1 }`), /__proto__: there is no such field/);
  await assert.rejects(read(`${base}constructor: 1`), /constructor: there is no such field/);
  await assert.rejects(
    read(`${base}io: { stdout: pipe, stderr: pipe, __proto__: {} }`),
    /io\.__proto__: there is no such field/,
  );
});

test('custom is any value', async () => {
  const custom = {
    a: [1, 1.5, -2, 'x', true, null, { b: '' }],
    big: 18446744073709551615n,
    tagged: { t: 1 },
    text: '1',
  };
  assert.deepEqual(
    await field(
      "custom: { a: [1, 1.5, -2, x, true, ~, { b: '' }], big: 18446744073709551615, tagged: !t 1, text: '1' }",
      'custom',
    ),
    custom,
  );
});

test('mount targets have one spelling', async () => {
  const mounts = (await field('mounts: { //proc: { type: proc }, /tmp//a/: { type: persist } }', 'mounts')) as Map<
    string,
    unknown
  >;
  assert.deepEqual([...mounts.keys()], ['/proc', '/tmp/a']);
  await assert.rejects(
    field('mounts: { /a: { type: dev }, /a/: { type: dev } }', 'mounts'),
    /two mounts have the same target/,
  );
});

test('options are a set, sizes are bytes, requirements have their normal form', async () => {
  const text = `mounts:
  /a: { type: bind, host: /a, options: "rw, nosuid ,rw" }
  /b: { type: tmpfs, size: 20 kB }
  /c: { type: tmpfs, size: 1GiB }
  /d: { type: resource, name: r, version: 1, dir: /x }`;
  assert.deepEqual(
    await field(text, 'mounts'),
    new Map<string, unknown>([
      ['/a', { type: 'bind', host: '/a', options: ['rw', 'nosuid'] }],
      ['/b', { type: 'tmpfs', size: 20000 }],
      ['/c', { type: 'tmpfs', size: 2 ** 30 }],
      ['/d', { type: 'resource', name: 'r', version: '^1', dir: '/x' }],
    ]),
  );
});

test('all permissions are full', async () => {
  const all =
    'ident inspect install kill list notifications mount repositories shutdown start start_command token_create token_verification umount uninstall';
  assert.deepEqual(await field(`console: { permissions: [${all.replaceAll(' ', ', ')}] }`, 'console'), {
    permissions: 'full',
  });
  assert.deepEqual(await field('console: { permissions: [ident, ident] }', 'console'), { permissions: ['ident'] });
});

test('what Northstar passes over is passed over, and named with its place', async () => {
  const text = `cgroups: { memory: { limit: 100MB, attrs: { memory.x: '1' } }, colour: blue }
mounts: { /proc: { type: proc, colour: red } }
sched: { policy: idle, colour: green }
rlimits: { cpu: { soft: 1, colour: grey } }
custom: { colour: white }`;
  const { defects } = await readManifest(Buffer.from(base + text), { old: false });
  assert.deepEqual(
    defects.unknown.map(({ line, column, field: name }) => [line, column, name]),
    [
      [6, 22, 'cgroups.memory.limit'],
      [6, 64, 'cgroups.colour'],
      [7, 32, 'mounts./proc.colour'],
      [8, 24, 'sched.colour'],
      [9, 28, 'rlimits.cpu.colour'],
    ],
  );
});

test('limits that no kernel takes are named with their place', async () => {
  const text =
    'rlimits:\n  cpu: { soft: 5, hard: 4 }\n  data: { hard: 4 }\n  fsize: { soft: 4 }\n  core: { soft: 4, hard: 4 }';
  const { defects } = await readManifest(Buffer.from(base + text), { old: false });
  assert.deepEqual(
    defects.limits.map(({ line, field: name, message }) => `${line}: ${name}: ${message}`),
    [
      '7: rlimits.cpu: the soft limit (5) is above the hard one (4)',
      '8: rlimits.data: the soft limit (unlimited) is above the hard one (4)',
    ],
  );
});

test('unknown fields inside of cgroups and of a limit are passed over, as Northstar does', async () => {
  assert.deepEqual(await field('cgroups: { colour: blue, cpu: { shares: 2, colour: blue } }', 'cgroups'), {
    cpu: { shares: 2 },
  });
  assert.deepEqual(await field('rlimits: { cpu: { soft: 1, colour: blue } }', 'rlimits'), {
    cpu: { soft: 1, hard: null },
  });
});

// What follows the five fields, and the error, with the place where the field stands.
const refused: [string, string][] = [
  ['colour: blue', 'manifest.yaml:6:1: colour: there is no such field'],
  ['uid: 2', 'manifest.yaml:6:1: the key "uid" is there twice'],
  ['args:\n  - [a]', 'manifest.yaml:7:5: args.0: Invalid input: expected string, received array'],
  [
    'env: { A: b, NORTHSTAR_NAME: x }',
    'manifest.yaml:6:1: env: must not set NORTHSTAR_NAME, NORTHSTAR_VERSION, NORTHSTAR_CONTAINER, NORTHSTAR_CONSOLE',
  ],
  ['env: { "A=B": c }', 'manifest.yaml:6:8: env.A=B: must be at most 64 bytes without "="'],
  [
    'mounts:\n  /a: { type: nfs }',
    "manifest.yaml:7:9: mounts./a.type: Invalid discriminator value. Expected 'bind' | 'dev' | 'persist' | 'proc' | 'sysfs' | 'sockets' | 'resource' | 'tmpfs'",
  ],
  ['mounts:\n  /a:\n    type: tmpfs', 'manifest.yaml:7:3: mounts./a.size: is missing'],
  ['mounts: { /a/../b: { type: dev } }', 'manifest.yaml:6:11: mounts./a/../b: must not contain ".."'],
  ['mounts: { a: { type: bind, host: /a } }', 'manifest.yaml:6:11: mounts.a: must be absolute'],
  ['mounts: { proc: { type: proc } }', 'manifest.yaml:6:11: mounts.proc: must be absolute'],
  [
    'mounts: { /r: { type: resource, name: r, version: 1, dir: /a/../../etc } }',
    'manifest.yaml:6:54: mounts./r.dir: must not contain ".."',
  ],
  [
    'sockets: { s: { type: stream, mode: 0o600, uid: 0 } }',
    "manifest.yaml:6:44: sockets.s.uid: must not be root's: the container does not run as root",
  ],
  [
    'sockets: { s: { type: stream, mode: 0o600, gid: 0 } }',
    "manifest.yaml:6:44: sockets.s.gid: must not be root's: the container does not run as root",
  ],
  [
    'mounts: { /a: { type: bind, host: /a }, /a/b: { type: bind, host: /b } }',
    'manifest.yaml:6:1: mounts: a bind must not lie in another',
  ],
  ['mounts: { /a: { type: bind, host: /a, options: !x rw } }', 'manifest.yaml:6:51: there is no variant "!x" here'],
  [
    'sched: { policy: hurry }',
    'manifest.yaml:6:10: sched.policy: must be idle, deadline, or one of other, batch, fifo and round_robin with its content',
  ],
  [
    'sched: { policy: !hurry { a: 1 } }',
    'manifest.yaml:6:10: sched.policy: must be idle, deadline, or one of other, batch, fifo and round_robin with its content',
  ],
  [
    'sched: { policy: !fifo { priority: 100 } }',
    'manifest.yaml:6:26: sched.policy.fifo.priority: Too big: expected number to be <=99',
  ],
  ['network: !namespace ../x', 'manifest.yaml:6:1: network.namespace: must be a plain file name'],
  [
    'seccomp: { allow: { read: !args { index: 6, mask: 1 } } }',
    'manifest.yaml:6:35: seccomp.allow.read.args.index: Too big: expected number to be <=5',
  ],
  [
    'seccomp: { allow: { read: !args { index: 0 } } }',
    'manifest.yaml:6:21: seccomp.allow.read.args: needs values or mask',
  ],
  [
    'seccomp: { allow: { read: !args { index: 0, mask: 18446744073709551616 } } }',
    'manifest.yaml:6:45: seccomp.allow.read.args.mask: Too big: expected bigint to be <=18446744073709551615',
  ],
  ['cgroups: { cpu: { attrs: { ../x: 1 } } }', 'manifest.yaml:6:28: cgroups.cpu.attrs.../x: must be a plain file name'],
  ['cgroups: { parent: a/../../b }', 'manifest.yaml:6:12: cgroups.parent: must not contain ".."'],
  ['sockets: { a/b: { type: stream, mode: 0 } }', 'manifest.yaml:6:12: sockets.a/b: must be a plain file name'],
  ['io: { stdout: pipe }', 'manifest.yaml:6:1: io.stderr: is missing'],
  ['a: [', 'manifest.yaml:6:5: Flow sequence in block collection must be sufficiently indented and end with a ]'],
  ['a: *b', 'manifest.yaml:6:4: there is no anchor "b" before this alias'],
  ['? [a]\n: b', 'manifest.yaml:6:3: a key must be a scalar'],
  ['---\nname: b', 'manifest.yaml:6:1: there is more than one document'],
];

/** Those that name something outside of where it may reach. */
const leadOut = new Set([
  'mounts: { /a/../b: { type: dev } }',
  'mounts: { /r: { type: resource, name: r, version: 1, dir: /a/../../etc } }',
  'network: !namespace ../x',
  'sockets: { a/b: { type: stream, mode: 0 } }',
]);

for (const [text, message] of refused) {
  test(`refused with place and field: ${text.replaceAll('\n', ' ')}`, async () => {
    const reason = leadOut.has(text) ? 'path' : 'manifest';
    await assert.rejects(read(base + text), { name: 'ManifestError', reason, message });
  });
}

test('an error of TOML or JSON is told by the reader of its own syntax', async () => {
  await assert.rejects(read('name = "a"\nversion = \n'), /^ManifestError: manifest\.yaml:2:\d+: Invalid TOML document/);
  await assert.rejects(read('{"name": "a", "name": "b"}'), {
    message: 'manifest.yaml:1:15: the key "name" is there twice',
  });
});

test('a container without an init sets nothing that could be run with it', async () => {
  const resource = base.replace('init: /a\n', '');
  await assert.rejects(read(`${resource}autostart: relaxed`), {
    message: 'manifest.yaml:5:1: autostart: needs an init: this is a resource container',
  });
  assert.deepEqual((await read(`${resource}args: []`)).args, undefined);
});

test('what would take too long or too much is refused', async () => {
  const bomb = `custom:\n  a: &a [x, x, x, x, x, x, x, x, x, x]\n${['b', 'c', 'd', 'e', 'f'].map((name, index) => `  ${name}: &${name} [${Array(10).fill(`*${'abcde'[index]}`).join(', ')}]\n`).join('')}`;
  await assert.rejects(read(base + bomb), /too large when its aliases are expanded/);
  await assert.rejects(read(`${base}custom: ${'['.repeat(5000)}${']'.repeat(5000)}`), /nested too deep/);
  await assert.rejects(read(`{"name":${'['.repeat(5000)}${']'.repeat(5000)}}`), /nested too deep/);
  await assert.rejects(read(`x = ${'['.repeat(5000)}${']'.repeat(5000)}`), { reason: 'manifest' });
  await assert.rejects(read(`${base}#${'x'.repeat(200_000)}`), /too large/);
  await assert.rejects(readManifest(Buffer.from('name: \xff', 'latin1'), { old: false }), /not UTF-8/);
});

test('of any text it makes a manifest or an error with a reason', async () => {
  const good = `${base}args: [a, 'b']\nenv: { A: b }\nmounts: { /a: { type: tmpfs, size: 1M }, /b: { type: bind, host: /b, options: rw } }\nsched: { policy: !fifo { priority: 1 } }\nseccomp: { allow: { read: !args { index: 0, mask: 1 } } }\ncgroups: { cpu: { shares: 1 } }\nautostart: true\n`;
  const piece = fc.constantFrom(
    '\n',
    ' ',
    ':',
    '- ',
    '{',
    '}',
    '[',
    ']',
    '!x ',
    "'",
    '"',
    '&a ',
    '*a',
    '#',
    '~',
    '0',
    ',',
    '|',
    '\t',
    'type',
    '__proto__',
    '\u0000',
    'ü',
    '= ',
  );
  const edit = fc.tuple(fc.nat({ max: good.length }), fc.nat({ max: 10 }), piece);
  await fc.assert(
    fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 4 }), fc.boolean(), async (edits, old) => {
      const text = edits.reduce((before, [at, cut, put]) => before.slice(0, at) + put + before.slice(at + cut), good);
      try {
        await readManifest(Buffer.from(text), { old });
      } catch (error) {
        assert.ok(error instanceof ManifestError, String(error));
      }
    }),
    { numRuns: 1500 },
  );
});

test('long manifests are read when they are as packers write them', async () => {
  const value = 'x'.repeat(1000);
  const env = Array.from({ length: 60 }, (_, index) => `  V${index}: ${value}\n`).join('');
  assert.equal((await read(`${base}env:\n${env}`)).env?.size, 60);
  await assert.rejects(read(`${base}env:\n${env}# a comment`), /too large: more than 32768 characters/);
  await assert.rejects(read(`${'a.'.repeat(10_000)}a = 1`), /nested too deep/);
});

test('unknown fields are passed over where Northstar passes over them', async () => {
  const fields = `sched: { policy: !fifo { priority: 7, colour: blue }, colour: blue }
mounts: { /proc: { type: proc, colour: blue }, /data: { type: persist, colour: blue } }
rlimits: { cpu: { soft: 1, colour: blue } }
cgroups: { colour: blue }
`;
  const { sched, mounts } = await read(base + fields);
  assert.deepEqual(sched, { policy: { fifo: { priority: 7 } } });
  assert.deepEqual(mounts?.get('/proc'), { type: 'proc' });
});
