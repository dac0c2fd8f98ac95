import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { parse } from 'yaml';
import { replacingHash } from '../../../../state/desired.ts';
import { parseDocument } from '../../../../state/document/parse-document.ts';
import { documentJsonSchema } from '../../../../state/schema/document-schema.ts';
import { patience } from '../../../support/patience.ts';

const example = `apiVersion: northstate/v1
repositories:
  system:  { type: fs, dir: /var/lib/northstate/system, mountOnStart: true, capacity: { containers: 10, size: 100MB } }
containers:
  broker:                       # a name, or name:version
    version: ^1.2               # a.b.c is exact, else a requirement
    state: running
    restart: { policy: always, backoff: 500ms, maxBackoff: 5m, resetAfter: 10m, limit: 0 }
    stop: { signal: TERM, grace: 10s }
  telemetry:
    version: 2.0.1
    source: /data/inbox/telemetry-2.0.1.npk
    digest: sha256:${'0f'.repeat(32)}
    repository: system
    state: running
    dependsOn: { broker: running }
    env: { LEVEL: debug, HOME: null, RATE: 1.10, __proto__: yes }
    args: [ --fast, 007 ]
    run: { id: 4, args: [ 1.0 ] }
    cgroups: { memory: { memory_hard_limit: 1000000 } }
  "maps:4.0.0": { state: installed }
...
`;

function accepted(text: string) {
  const result = parseDocument(text);
  assert.ok(result.ok, result.ok ? '' : `${result.error.line}: ${result.error.message}`);
  return result;
}

function refused(text: string) {
  const result = parseDocument(text);
  assert.ok(!result.ok, 'the document was accepted');
  return result.error;
}

const head = 'apiVersion: northstate/v1\n';
const inRepository = (fields: string): string => `apiVersion: northstate/v1\nrepositories:\n  m: { ${fields} }\n`;
const inEntry = (fields: string): string => `apiVersion: northstate/v1\ncontainers:\n  a: { ${fields} }\n`;

test('every field of a document is read, with its defaults', () => {
  const { desired, endMark } = accepted(example);
  assert.ok(endMark);
  const broker = desired.containers.get('broker');
  const restart = { policy: 'always', backoff: 500, maxBackoff: 300_000, resetAfter: 600_000, limit: 0 };
  assert.deepEqual(broker?.restart, restart);
  assert.deepEqual(broker.stop, { signal: 15, grace: 10_000 });
  const maps = desired.containers.get('maps:4.0.0');
  assert.deepEqual([maps?.name, maps?.version, maps?.restart, maps?.run], ['maps', '4.0.0', restart, null]);
  assert.deepEqual(desired.repositories.get('system')?.capacity, { containers: 10, size: 100_000_000 });
});

test('a repository has keys or not, a directory or memory, and an integrity where it has a key', () => {
  const repository = (fields: string) => accepted(inRepository(fields)).desired.repositories.get('m');
  const plain = repository('type: fs, dir: /x');
  assert.deepEqual([plain?.dir, plain?.keys, plain?.integrity], ['/x', [], 'none']);
  const memory = repository('type: mem, key: /k');
  assert.deepEqual([memory?.dir, memory?.keys, memory?.integrity], [null, ['/k'], 'dm-verity']);
  const checked = repository('type: fs, dir: /x, key: [/new, /old], integrity: full-check');
  assert.deepEqual([checked?.keys, checked?.integrity], [['/new', '/old'], 'full-check']);
});

test('text fields take the source of a scalar, and any name is a name', () => {
  const telemetry = accepted(example).desired.containers.get('telemetry');
  const variables = [
    ['LEVEL', 'debug'],
    ['HOME', null],
    ['RATE', '1.10'],
    ['__proto__', 'yes'],
  ];
  assert.deepEqual([...(telemetry?.env ?? [])], variables);
  assert.deepEqual(telemetry?.args, ['--fast', '007']);
  assert.deepEqual(telemetry.run, { id: 4, init: null, args: ['1.0'], env: null });
  const { desired } = accepted('apiVersion: northstate/v1\ncontainers:\n  __proto__: { version: 1.10 }\n  123: {}\n');
  assert.deepEqual([...desired.containers.keys()], ['__proto__', '123']);
  assert.equal(desired.containers.get('__proto__')?.version, '1.10');
});

const refusals: [what: string, text: string, line: number, column: number, message: RegExp][] = [
  ['an unknown key', inEntry('stat: running'), 3, 8, /"stat" is not known/],
  ['an unknown key at the top', 'apiVersion: northstate/v1\nfoo: 1\n', 2, 1, /"foo" is not known/],
  ['a missing apiVersion', 'containers: {}\n', 1, 1, /northstate\/v1/],
  ['another apiVersion', 'apiVersion: northstate/v2\n', 1, 13, /northstate\/v1/],
  [
    'a source without a slash',
    inEntry('source: a.npk'),
    3,
    16,
    /an absolute path or an https:\/\/ address is expected/,
  ],
  ['a source with a password', inEntry('source: https://me:secret@host/a.npk'), 3, 16, /without a name, a password/],
  ['a wrong type', inEntry('args: text'), 3, 14, /expected array/],
  ['a wrong value', inEntry('state: up'), 3, 15, /"absent"/],
  ['a duration without a unit', inEntry('stop: { grace: 10 }'), 3, 23, /duration/],
  ['a signal that does not exist', inEntry('stop: { signal: SIGFOO }'), 3, 24, /signal is a number/],
  ['a run that is a list', inEntry('run: [1]'), 3, 13, /a run is/],
  ['a run without an id', inEntry('run: { args: [] }'), 3, 13, /./],
  [
    'a soft limit above its hard one',
    inEntry('rlimits: { cpu: { soft: 5, hard: 4 } }'),
    3,
    24,
    /soft limit \(5\) is above/,
  ],
  [
    'a size that is none',
    'apiVersion: northstate/v1\nrepositories: { m: { type: fs, dir: /x, capacity: { size: 10XB } } }\n',
    2,
    59,
    /a size is/,
  ],
  ['a version that is none', inEntry('version: latest'), 3, 17, /requirement/],
  ['a relative source', inEntry('source: a.npk'), 3, 16, /absolute/],
  ['a digest in capitals', inEntry(`digest: sha256:${'A'.repeat(64)}`), 3, 16, /digest/],
  ['a reserved variable', inEntry('env: { NORTHSTAR_NAME: x }'), 3, 15, /NORTHSTAR_NAME/],
  [
    'two names for one version',
    'apiVersion: northstate/v1\ncontainers:\n  "a:1.0.0": { version: 2.0.0 }\n',
    3,
    25,
    /says version/,
  ],
  [
    'an entry that wants a version running, and one that wants it absent',
    'apiVersion: northstate/v1\ncontainers:\n  a: { version: 1.0.0 }\n  "a:1.0.0": { state: absent }\n',
    4,
    3,
    /a \(version 1\.0\.0\) and a:1\.0\.0 are one package, and ask for state running and absent/,
  ],
  [
    'the same the other way round, by a requirement that admits one version',
    'apiVersion: northstate/v1\ncontainers:\n  "a:1.0.0": { state: mounted }\n  a: { version: "=1.0.0", state: installed }\n',
    3,
    3,
    /ask for state installed and mounted/,
  ],
  [
    'two entries that want one version from two repositories',
    'apiVersion: northstate/v1\ncontainers:\n  a: { version: 1.0.0, state: mounted, repository: x }\n  "a:1.0.0": { state: mounted, repository: y }\n',
    4,
    3,
    /ask for repository x and y/,
  ],
  [
    'a longest backoff that is below the first',
    inEntry('restart: { backoff: 2s, maxBackoff: 1s }'),
    3,
    44,
    /maxBackoff .* must not be below backoff: 1000ms is below 2000ms/,
  ],
  ['a backoff that is above the default of the longest', inEntry('restart: { backoff: 10m }'), 3, 17, /maxBackoff/],
  [
    'processors that are no list',
    inEntry('cgroups: { cpu: { cpus: abc } }'),
    3,
    32,
    /a list of processors is expected/,
  ],
  [
    'a range that runs backwards',
    inEntry('cgroups: { cpu: { mems: 1-0 } }'),
    3,
    32,
    /a list of memory nodes is expected/,
  ],
  [
    'a processor that this host does not have',
    inEntry('cgroups: { cpu: { cpus: "0,7000" } }'),
    3,
    32,
    /7000 is none of this host's processors: 0/,
  ],
  ['a name that is a path', 'apiVersion: northstate/v1\ncontainers:\n  ..: {}\n', 3, 3, /name/],
  ['a version in a key that is a requirement', 'apiVersion: northstate/v1\ncontainers:\n  "a:^1": {}\n', 3, 3, /name/],
  ['an entry without fields', 'apiVersion: northstate/v1\ncontainers:\n  a:\n', 3, 5, /expected object/],
  ['a key twice', 'apiVersion: northstate/v1\nautostart: run\nautostart: run\n', 3, 1, /twice/],
  ['a name twice', 'apiVersion: northstate/v1\ncontainers: { a: {}, "a": {} }\n', 2, 22, /twice/],
  ['__proto__ where names are fixed', inEntry('restart: { __proto__: 1 }'), 3, 19, /__proto__/],
  [
    'two running versions',
    'apiVersion: northstate/v1\ncontainers:\n  a: {}\n  "a:1.0.0": {}\n',
    4,
    3,
    /a and a:1\.0\.0/,
  ],
  ['an unknown dependency', inEntry('dependsOn: { b: running }'), 3, 21, /b, which is not in the document/],
  ['a cycle', `${inEntry('dependsOn: { b: running }')}  b: { dependsOn: { a: running } }\n`, 4, 21, /a -> b -> a/],
  ['a dependency on itself', inEntry('dependsOn: { a: running }'), 3, 21, /a -> a/],
  ['a dependency on less than running', inEntry('dependsOn: { a: mounted }'), 3, 24, /running/],
  ['a partner that it does not depend on', inEntry('restartWith: [b]'), 3, 8, /does not depend on b/],
  [
    'a dependency that never ends',
    `${inEntry('dependsOn: { b: succeeded }')}  b: { state: running }\n`,
    3,
    21,
    /restarts it without end: its restart policy/,
  ],
  ['a timeout that is none', inEntry('timeout: soon'), 3, 17, /duration/],
  ['a timeout in which nothing can run', inEntry('timeout: 0s'), 3, 17, /at least 100ms/],
  ['a repository of another type', inRepository('type: tape'), 3, 14, /fs.*mem/],
  ['a directory that is not named', inRepository('type: fs'), 3, 6, /type fs needs a dir/],
  ['a directory of a repository in memory', inRepository('type: mem, dir: /x'), 3, 24, /has no dir/],
  ['a relative key', inRepository('type: mem, key: k'), 3, 24, /absolute|key file/],
  ['a list of no keys', inRepository('type: mem, key: []'), 3, 24, /key file|>=1/],
  ['integrity without a key', inRepository('type: mem, integrity: full-check'), 3, 30, /integrity needs a key/],
  ['an integrity that is none', inRepository('type: mem, key: /k, integrity: hope'), 3, 39, /dm-verity/],
  ['YAML that is none', 'apiVersion: [northstate/v1\n', 2, 1, /./],
  ['a tag', inEntry('state: !up running'), 3, 15, /tag/],
  ['a tab as indent', 'apiVersion: northstate/v1\ncontainers:\n\ta: {}\n', 3, 1, /[Tt]ab/],
  ['several documents', 'apiVersion: northstate/v1\n---\napiVersion: northstate/v1\n', 2, 1, /second document/],
  ['YAML 1.1', '%YAML 1.1\n---\napiVersion: northstate/v1\n', 1, 1, /1\.1/],
  ['an alias without an anchor', 'apiVersion: *a\n', 1, 13, /anchor/],
  ['an alias in itself', 'apiVersion: northstate/v1\ncontainers: &a { b: *a }\n', 2, 21, /contains itself/],
  ['a list', '- a\n', 1, 1, /map/],
  ['an empty text', '', 0, 0, /empty/],
  ['only comments', '# nothing\n', 0, 0, /empty/],
];

for (const [what, text, line, column, message] of refusals) {
  test(`${what} is refused with its place`, () => {
    const error = refused(text);
    assert.match(error.message, message);
    assert.deepEqual([error.line, error.column], [line, column]);
  });
}

test('arguments and variables that fit into no start are refused with the limit', () => {
  const many = `[${'word,'.repeat(40_000)}]`;
  const variables = Array.from({ length: 120 }, (_, each) => `V${each}: '${'x'.repeat(900)}'`);
  for (const field of [`args: ${many}`, `env: { ${variables.join(', ')} }`, `run: { id: 1, args: ${many} }`]) {
    const { message, line } = refused(`${head}containers:\n  a: { ${field} }\n`);
    assert.match(message, /take at most 98304 bytes together/);
    assert.equal(line, 3);
  }
  const one = refused(`${head}containers:\n  a: { args: ['${'x'.repeat(131_072)}'] }\n`);
  assert.match(one.message, /an argument or variable takes less than 131072 bytes/);
});

test('an error shows its line and a caret below the place', () => {
  assert.equal(refused(inEntry('state: up')).excerpt, '  a: { state: up }\n              ^');
  const long = refused(inEntry(`source: /${'x'.repeat(300)}, state: up`));
  const [line = '', caret = ''] = long.excerpt.split('\n');
  assert.ok(line.length <= 80);
  assert.equal(line.slice(caret.length - 1, caret.length + 1), 'up');
});

test('aliases that stand for billions of values are refused at once', () => {
  const lines = Array.from({ length: 30 }, (_, n) => `  x${n + 1}: &x${n + 1} { a: *x${n}, b: *x${n} }`);
  const began = performance.now();
  assert.match(refused(`x:\n  x0: &x0 { a: 1 }\n${lines.join('\n')}\n`).message, /aliases stand for more than/);
  assert.ok(performance.now() - began < patience);
});

test('hostile documents are refused in bounded time, whatever they are made of', () => {
  const hostile = {
    lists: '['.repeat(1_000_000),
    maps: '{a: '.repeat(20_000),
    dashes: '- '.repeat(20_000),
    commas: `[${','.repeat(900_000)}`,
    indents: Array.from({ length: 1400 }, (_, depth) => `${' '.repeat(depth)}a:`).join('\n'),
    questions: '? '.repeat(20_000),
  };
  for (const [what, text] of Object.entries(hostile)) assert.match(refused(text).message, /too (deeply|many)/, what);
});

test('a long chain of dependencies is no cycle, and its last link can make it one', () => {
  const chain = (last: string): string => {
    const links = Array.from({ length: 2999 }, (_, n) => `  c${n}: { dependsOn: { c${n + 1}: running } }\n`);
    return `${head}containers:\n${links.join('')}  c2999: ${last}\n`;
  };
  assert.equal(accepted(chain('{}')).desired.containers.size, 3000);
  assert.match(refused(chain('{ dependsOn: { c2990: running } }')).message, /c2990 -> c2991 .* -> c2999 -> c2990$/);
});

test('an alias means the anchor before it, also when another takes its name later', () => {
  const text = `apiVersion: northstate/v1
containers:
  a: { env: &env { A: &v one } }
  b: { env: { B: *v, C: &v two, D: *v } }
  c: { env: *env }
`;
  const { containers } = accepted(text).desired;
  const variables = ['a', 'b', 'c'].map((name) => Object.fromEntries(containers.get(name)?.env ?? []));
  assert.deepEqual(variables, [{ A: 'one' }, { B: 'one', C: 'two', D: 'two' }, { A: 'one' }]);
});

test('a document over the size limit is refused without being parsed', () => {
  const result = parseDocument(example, { limit: 100 });
  assert.match(result.ok ? '' : result.error.message, /at most 100 are read/);
});

test('of a document with an end mark every shorter part is refused, or lacks the mark, or says the same', () => {
  const whole = accepted(example);
  const parts = Array.from({ length: example.length }, (_, length) => parseDocument(example.slice(0, length)));
  const complete = parts.filter((part) => part.ok && part.endMark);
  for (const part of complete) assert.deepEqual(part.ok && part.tree, whole.tree);
  assert.equal(complete.length, 1); // without the last line break
});

test('the JSON Schema and the parser agree on what they both can see', () => {
  const validate = new Ajv2020({ allowUnionTypes: true }).compile(documentJsonSchema());
  // The grammar of versions, how long a duration is, and what must hold between entries or fields is beyond this JSON Schema.
  const beyond = [
    'a soft limit above its hard one',
    'a version that is none',
    'two names for one version',
    'two running versions',
    'an entry that wants a version running, and one that wants it absent',
    'the same the other way round, by a requirement that admits one version',
    'two entries that want one version from two repositories',
    'a longest backoff that is below the first',
    'a backoff that is above the default of the longest',
    'a range that runs backwards',
    'a processor that this host does not have',
    'an unknown dependency',
    'a partner that it does not depend on',
    'a dependency that never ends',
    'a cycle',
    'a dependency on itself',
    'a directory that is not named',
    'a directory of a repository in memory',
    'integrity without a key',
    'a timeout in which nothing can run',
  ];
  const syntax = [
    'a key twice',
    'a name twice',
    'YAML that is none',
    'a tag',
    'a tab as indent',
    'several documents',
    'YAML 1.1',
    'an alias without an anchor',
    'an alias in itself',
    'an empty text',
    'only comments',
  ];
  assert.ok(
    validate(JSON.parse(JSON.stringify(parse(example.replace(/1\.10|007|1\.0 /g, '"$&"'))))),
    JSON.stringify(validate.errors),
  );
  for (const [what, text] of refusals) {
    if (syntax.includes(what)) continue;
    assert.equal(validate(parse(text)), beyond.includes(what), what);
  }
});

test('only a change of what runs changes the replacing hash', () => {
  const entry = (fields: string) => accepted(inEntry(fields)).desired.containers.get('a');
  const hash = (fields: string): string => replacingHash(entry(fields) ?? assert.fail());
  const before = hash('env: { A: x, B: y }, state: running');
  for (const same of [
    'env: { B: y, A: x }',
    'env: { A: x, B: y }, run: 7',
    'env: { A: x, B: y }, restart: { limit: 3 }, stop: { grace: 1s }',
    'env: { A: x, B: y }, paused: true, cgroups: { parent: somewhere, cpu: { shares: 5 }, pids: { max: 9 } }',
  ]) {
    assert.equal(hash(same), before, same);
  }
  for (const other of [
    'env: { A: x }',
    'env: { A: x, B: y }, args: []',
    'env: { A: x, B: y }, init: /x',
    'env: { A: x, B: y }, rlimits: { nofile: { soft: 1 } }',
    'env: { A: x, B: y }, cgroups: { cpu: { attrs: { cpu.idle: "1" } } }',
  ]) {
    assert.notEqual(hash(other), before, other);
  }
});

test('the example of the documentation is a document', () => {
  const readme = readFileSync(new URL('../../../../state/README.md', import.meta.url), 'utf8');
  const [, text = ''] = /```yaml\n(.*?)```/s.exec(readme) ?? [];
  assert.ok(accepted(text).desired.containers.size > 0);
});
