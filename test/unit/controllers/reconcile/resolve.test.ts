import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resolve, type Known } from '../../../../controllers/reconcile/resolve.ts';
import type { ContainerEntry } from '../../../../state/desired.ts';
import type { ObservedPackage } from '../../../../state/observed.ts';
import { attempt, packageOf, target } from '../../../support/views.ts';

const entry = (fields: Partial<ContainerEntry> = {}): ContainerEntry => target('running', '^1', null, fields).entry;

function resolved(fields: Partial<Known>) {
  const known: Known = {
    name: 'app',
    entries: [entry()],
    packages: [],
    attempts: [],
    lock: new Map(),
    repositories: new Set(['system']),
    mountOnStart: new Set(),
    autostart: 'none',
    passedOver: () => false,
    holding: false,
    packagesOf: () => [],
    ...fields,
  };
  const { targets, locks } = resolve(known);
  return { targets, locks, first: targets[0] };
}

const installed = ['2.0.0', '1.2.0', '1.1.0'].map((version) => packageOf(version));
const locked = (version: string) => new Map([['app', { version, repository: 'system', digest: null }]]);

test('a requirement is resolved to the highest that is installed, and that is locked', () => {
  const { first, locks } = resolved({ packages: installed });
  assert.equal(first?.version, '1.2.0');
  assert.deepEqual(locks, locked('1.2.0'));
});

test('the repository that an entry names chooses between two that hold the same version', () => {
  const other = packageOf('1.2.0', { repository: 'other', path: '/other/app.npk' });
  const packages = [{ ...packageOf('1.2.0'), elsewhere: [other] }];
  const { first, locks } = resolved({ entries: [entry({ repository: 'other' })], packages });
  assert.deepEqual([first?.package?.path, locks.get('app')?.repository], ['/other/app.npk', 'other']);
  // One that is locked to it stays there.
  const lock = new Map([['app', { version: '1.2.0', repository: 'other', digest: null }]]);
  assert.equal(resolved({ packages, lock }).first?.package?.path, '/other/app.npk');
  assert.equal(resolved({ packages }).first?.package?.repository, 'system');
});

test('a version that another entry wants absent is not taken, also when it is locked', () => {
  const absent = { ...entry(), key: 'app:1.2.0', version: '1.2.0', state: 'absent' } as const;
  const { first, locks } = resolved({ entries: [entry(), absent], packages: installed, lock: locked('1.2.0') });
  assert.equal(first?.version, '1.1.0');
  assert.equal(locks.get('app')?.version, '1.1.0');
});

test('what is locked stays when a higher one appears; that is told', () => {
  const { first, locks } = resolved({ packages: installed, lock: locked('1.1.0') });
  assert.equal(first?.version, '1.1.0');
  assert.equal(first.newer, '1.2.0');
  assert.equal(locks.size, 0);
});

test('update: automatic takes a higher one at any time', () => {
  const { first, locks } = resolved({
    entries: [entry({ update: 'automatic' })],
    packages: installed,
    lock: locked('1.1.0'),
  });
  assert.equal(first?.version, '1.2.0');
  assert.deepEqual(locks, locked('1.2.0'));
});

test('a resolved package that vanishes is never another version', () => {
  const { first } = resolved({ packages: [packageOf('1.2.0')], lock: locked('1.1.0') });
  assert.equal(first?.version, '1.1.0');
  assert.equal(first.package, null);
});

test('a lock that the requirement no longer admits is resolved anew', () => {
  const { first } = resolved({ entries: [entry({ version: '^2' })], packages: installed, lock: locked('1.1.0') });
  assert.equal(first?.version, '2.0.0');
});

test('an exact version is itself, installed or not', () => {
  const { first } = resolved({ entries: [entry({ version: '1.3.0' })], packages: installed });
  assert.equal(first?.version, '1.3.0');
  assert.equal(first.package, null);
});

test('an entry that names a repository takes nothing from another', () => {
  const packages = [packageOf('1.2.0', { repository: 'scratch' }), packageOf('1.1.0')];
  assert.equal(resolved({ entries: [entry({ repository: 'system' })], packages }).first?.version, '1.1.0');
});

test('what was installed with a digest is only installed again with that digest', () => {
  const lock = new Map([['app', { version: '1.1.0', repository: 'system', digest: 'sha256:aa' }]]);
  assert.equal(resolved({ lock }).first?.digest, 'sha256:aa');
});

test('another version or another field that replaces gives another hash; another state does not', () => {
  const hash = (fields: Partial<ContainerEntry>) =>
    resolved({ entries: [entry(fields)], packages: installed }).first?.replacing;
  assert.equal(hash({}), hash({ state: 'mounted' }));
  assert.notEqual(hash({}), hash({ version: '^2' }));
  assert.notEqual(hash({}), hash({ env: new Map([['LEVEL', 'debug']]) }));
});

const data = (version: string) => packageOf(version, { id: `data:${version}`, name: 'data' });

function user(): ObservedPackage {
  const resource = { type: 'resource' as const, name: 'data', version: '^1', dir: '/', options: [] };
  const manifest = {
    name: 'app',
    version: '1.2.0',
    init: '/app',
    uid: 1,
    gid: 1,
    mounts: new Map([['/data', resource]]),
  };
  return packageOf('1.2.0', { manifest });
}

test('a resource is the highest that is installed; a container that runs keeps the one it has', () => {
  const packagesOf = () => [data('1.5.0'), data('1.4.0')];
  const { first } = resolved({ packages: [user()], packagesOf });
  assert.equal(first?.resources[0]?.id, 'data:1.5.0');
  const base = attempt(7, '1.2.0', 'running', ['data:1.4.0']);
  const running = { ...base, record: { ...base.record, entry: first.replacing } };
  assert.equal(resolved({ packages: [user()], packagesOf, attempts: [running] }).first?.resources[0]?.id, 'data:1.4.0');
});

test('a resource of which nothing fits is named and has no image', () => {
  const { first } = resolved({ packages: [user()], packagesOf: () => [data('2.0.0')] });
  assert.deepEqual(first?.resources, [{ target: '/data', name: 'data', requirement: '^1', id: null }]);
});

const starter = (version: string) =>
  packageOf(version, { manifest: { name: 'app', version, init: '/app', uid: 1, gid: 1, autostart: 'relaxed' } });

test('autostart packages that the document does not name run, and are never started a second time', () => {
  const { first } = resolved({ entries: [], packages: [starter('1.0.0')], autostart: 'all' });
  assert.equal(first?.entry.state, 'running');
  assert.equal(first.entry.restart.policy, 'never');
  assert.deepEqual(resolved({ entries: [], packages: [starter('1.0.0')], autostart: 'started' }).targets, []);
});

test('what autostart has started stays wanted while it is remembered, and while it runs even without its file', () => {
  const base = attempt(7, '1.0.0');
  const started = { ...base, record: { ...base.record, autostart: true } };
  const seen = { entries: [], attempts: [started], autostart: 'started' as const };
  assert.equal(resolved({ ...seen, packages: [starter('1.1.0'), starter('1.0.0')] }).first?.version, '1.0.0');
  assert.equal(resolved({ ...seen, packages: [] }).first?.version, '1.0.0');
  assert.deepEqual(resolved({ ...seen, packages: [starter('1.0.0')], autostart: 'none' }).targets, []);
});

test('what an entry has had run ends with the entry, though autostart had started the name before, or would', () => {
  const own = attempt(7, '1.0.0', 'exited');
  const attempts = [{ ...own, record: { ...own.record, autostart: true } }, attempt(8, '1.0.0')];
  const seen = { entries: [], packages: [starter('1.0.0')], attempts };
  for (const autostart of ['started', 'all'] as const) assert.deepEqual(resolved({ ...seen, autostart }).targets, []);
  const [first, second] = attempts;
  const once = { ...second!, record: { ...second!.record, by: 'once' as const } };
  for (const later of [once, attempt(8, '1.0.0', 'prepared')])
    assert.equal(resolved({ ...seen, attempts: [first!, later], autostart: 'started' }).first?.version, '1.0.0');
});

test('an entry beats autostart and mountOnStart', () => {
  const packages = [starter('1.1.0')];
  const own = [entry({ key: 'app', state: 'installed' })];
  const { targets } = resolved({ entries: own, packages, autostart: 'all', mountOnStart: new Set(['system']) });
  assert.deepEqual(
    targets.map(({ entry: { state } }) => state),
    ['installed'],
  );
});

test('a repository with mountOnStart has all its packages mounted that no entry names', () => {
  const { targets } = resolved({ packages: installed, mountOnStart: new Set(['system']) });
  assert.deepEqual(
    targets.map(({ key, entry: { state } }) => `${key} ${state}`),
    ['app running', 'app:2.0.0 mounted', 'app:1.1.0 mounted'],
  );
});
