import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { configurationArgument, configurationFromArgument } from '../../../src/config/configuration.ts';
import { ConfigurationError } from '../../../src/config/configuration-error.ts';
import { defaultFetchSettings } from '../../../src/fetch/fetch-settings.ts';
import { parseConfiguration, readConfiguration } from '../../../src/config/read-configuration.ts';

const defaults = {
  desired: '/var/lib/northstate/desired.yaml',
  seed: '/etc/northstate/desired.yaml',
  sleep: { after: 30_000 },
  bootPlan: 'auto',
  documentKeys: [],
  compatible: null,
  trial: null,
  stateDir: '/var/lib/northstate/state',
  dataDir: '/var/lib/northstate/data',
  runDir: '/run/northstate',
  socketDir: '/run/northstate/sockets',
  accounting: false,
  cgroup: 'auto',
  console: [{ listen: 'unix:///run/northstate/console', permissions: 'full', patches: 'document', limits: {} }],
  containerConsoles: { patches: 'document', limits: {} },
  repositories: [],
  pids: 4096,
  fetch: defaultFetchSettings,
  snapshot: { bytes: 100_000_000, entries: 100_000, time: 30_000 },
  loopTimeout: 10_000,
  metrics: null,
  debug: { commands: [] },
  log: { level: 'info', target: 'auto' },
};

test('every field has a default', async () => {
  for (const text of ['', '# nothing\n', '---\n...\n', '{}']) {
    assert.deepEqual(await parseConfiguration(text, 'f'), defaults, JSON.stringify(text));
  }
});

test('metrics are for this machine alone', async () => {
  const at = (url: string) => parseConfiguration(`metrics: { listen: "${url}" }\n`, 'f');
  const file = { mode: 0o600, uid: 0, gid: 0 };
  assert.deepEqual((await at('tcp://127.0.0.1:9470')).metrics, { listen: 'tcp://127.0.0.1:9470', file });
  await assert.rejects(at('tcp://0.0.0.0:9470'), /could be reached by other machines/);
});

test('limits are written with units and kept in bytes and milliseconds', async () => {
  const text = `
console:
  - listen: unix:///tmp/console
    permissions: [ident, list, start_command, token_verification, watch]
    patches: boot
    limits: { requestSize: 2MiB, installStall: 1500ms, requestsPerSecond: 10 }
`;
  assert.deepEqual((await parseConfiguration(text, 'f')).console, [
    {
      listen: 'unix:///tmp/console',
      permissions: ['ident', 'list', 'start_command', 'token_verification', 'watch'],
      patches: 'boot',
      limits: { requestSize: 2 * 1024 * 1024, installStall: 1500, requestsPerSecond: 10 },
    },
  ]);
});

test('a listener says who may do what: by user and group, by certificate', async () => {
  const text = `
console:
  - listen: unix:///tmp/console
    permissions: []
    peers: [{ uid: 0, permissions: full }, { uid: 5, gid: 6, permissions: [ident] }]
    file: { mode: "0660", gid: 6 }
  - { listen: "tcp://localhost", permissions: [list] }
  - { listen: "tcp://[::]:4201", permissions: full, tls: { cert: /c.pem, key: /k.pem, ca: /a.pem } }
`;
  const plain = { patches: 'document', limits: {} };
  assert.deepEqual((await parseConfiguration(text, 'f')).console, [
    {
      listen: 'unix:///tmp/console',
      permissions: [],
      peers: [
        { uid: 0, permissions: 'full' },
        { uid: 5, gid: 6, permissions: ['ident'] },
      ],
      file: { mode: 0o660, uid: 0, gid: 6 },
      ...plain,
    },
    { listen: 'tcp://localhost', permissions: ['list'], ...plain },
    {
      listen: 'tcp://[::]:4201',
      permissions: 'full',
      tls: { cert: '/c.pem', key: '/k.pem', ca: '/a.pem' },
      ...plain,
    },
  ]);
});

const wrong: readonly [title: string, text: string, line: number, column: number, message: RegExp][] = [
  ['an unknown field', 'cgroup: x\nrunDri: /run\n', 2, 1, /the key "runDri" is not known here/],
  ['an unknown field deep inside', 'log:\n  levle: info\n', 2, 3, /log: the key "levle" is not known here/],
  ['a proxy that is no address', 'fetch: { proxy: "host:3128" }\n', 1, 17, /fetch.proxy: must be http:\/\/HOST:PORT/],
  ['a certificate without its key', 'fetch: { cert: /a.pem }\n', 1, 8, /fetch.key: cert and key belong together/],
  ['a time that no timer waits', 'loopTimeout: 25d\n', 1, 14, /loopTimeout: must be at most 24d/],
  ['a wrong type', 'log: { level: 3 }\n', 1, 15, /log\.level/],
  ['a relative path', 'stateDir: state\n', 1, 11, /must be an absolute path/],
  ['a group outside of ours', 'cgroup: ../x\n', 1, 9, /cgroup/],
  [
    'an unknown permission',
    'console:\n  - { listen: "unix:///c", permissions: [dance] }\n',
    2,
    42,
    /must be full or a list of/,
  ],
  ['a listener without permissions', 'console:\n  - { listen: "unix:///c" }\n', 2, 5, /permissions/],
  ['an address that is none', 'console: [ { listen: "udp://x", permissions: full } ]\n', 1, 22, /expected unix:/],
  ['a port that is none', 'console: [ { listen: "tcp://x:70000", permissions: full } ]\n', 1, 22, /expected tcp:/],
  [
    'a listener that other machines reach',
    'console: [ { listen: "tcp://0.0.0.0:4200", permissions: full } ]\n',
    1,
    22,
    /other machines could reach it: listen at 127\.0\.0\.1, or ask for client certificates/,
  ],
  [
    'certificates of a file',
    'console: [ { listen: "unix:///c", permissions: full, tls: { cert: /c, key: /k, ca: /a } } ]\n',
    1,
    59,
    /tcp:/,
  ],
  [
    'users of a TCP listener',
    'console: [ { listen: "tcp://localhost", permissions: full, peers: [] } ]\n',
    1,
    67,
    /unix:/,
  ],
  [
    'a rule about nobody',
    'console: [ { listen: "unix:///c", permissions: full, peers: [ { permissions: full } ] } ]\n',
    1,
    63,
    /uid/,
  ],
  [
    'a mode that YAML reads as a decimal',
    'console: [ { listen: "unix:///c", permissions: full, file: { mode: 0660 } } ]\n',
    1,
    68,
    /in quotes/,
  ],
  ['a field that stands there twice', 'cgroup: a\ncgroup: b\n', 2, 1, /twice/],
  ['broken YAML', 'log: { level\n', 2, 1, /./],
];

for (const [title, text, line, column, message] of wrong) {
  test(`${title} is an error with its place`, async () => {
    await assert.rejects(parseConfiguration(text, '/etc/x.yaml'), (error) => {
      assert.ok(error instanceof ConfigurationError);
      assert.match(error.message, message);
      assert.deepEqual([error.line, error.column], [line, column], error.message);
      assert.match(error.message, /^configuration \/etc\/x\.yaml, line \d+, column \d+: /);
      return true;
    });
  });
}

test('repositories are written as in the document', async () => {
  const text = `
repositories:
  system: { type: fs, dir: /data/system, key: /etc/a.pub }
  scratch: { type: mem, capacity: { containers: 3, size: 1MB } }
`;
  const { repositories } = await parseConfiguration(text, 'f');
  const fields = repositories.map(({ id, type, dir, keys, integrity }) => [id, type, dir, keys, integrity]);
  assert.deepEqual(fields, [
    ['system', 'fs', '/data/system', ['/etc/a.pub'], 'dm-verity'],
    ['scratch', 'mem', null, [], 'none'],
  ]);
  assert.deepEqual(repositories[1]?.capacity, { containers: 3, size: 1_000_000 });
});

test('what the command line says beats the file', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'northstate-'));
  try {
    const file = join(directory, 'config.yaml');
    await writeFile(file, 'desired: /a.yaml\nstateDir: /a\ncgroup: mine\n');
    const { desired, stateDir, cgroup } = await readConfiguration(file, { desired: '/b.yaml' });
    assert.deepEqual({ desired, stateDir, cgroup }, { desired: '/b.yaml', stateDir: '/a', cgroup: 'mine' });
    await assert.rejects(readConfiguration(join(directory, 'none')), /none: ENOENT/);
  } finally {
    await rm(directory, { recursive: true });
  }
});

test('the reconciler gets the configuration as it was read', async () => {
  const configuration = await parseConfiguration('cgroup: mine', 'f');
  assert.deepEqual(configurationFromArgument(configurationArgument(configuration)), configuration);
});
