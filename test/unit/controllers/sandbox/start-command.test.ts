import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startOf } from '../../../../controllers/sandbox/start-command.ts';
import type { ContainerEntry } from '../../../../state/desired.ts';
import type { Manifest } from '../../../../state/schema/manifest.ts';

const manifest: Manifest = {
  name: 'box',
  version: '1.2.3',
  init: '/app',
  args: ['from', 'manifest'],
  env: new Map([
    ['HOME', '/'],
    ['LEVEL', 'info'],
  ]),
  uid: 1000,
  gid: 2000,
};
const names = ['NORTHSTAR_NAME=box', 'NORTHSTAR_VERSION=1.2.3', 'NORTHSTAR_CONTAINER=box:1.2.3'];

function start(entry: Partial<ContainerEntry> = {}, fields: Partial<Manifest> = {}) {
  const nothing = { init: null, args: null, env: new Map<string, string | null>(), run: null };
  const made = startOf({ manifest: { ...manifest, ...fields }, entry: { ...nothing, ...entry }, dataDir: '/data' });
  return { ...made, environment: [...made.environment].map(([key, value]) => `${key}=${value}`) };
}

test('starts the manifest’s command with its environment and the names of the container', () => {
  assert.deepEqual(start(), {
    path: '/app',
    arguments: ['/app', 'from', 'manifest'],
    environment: ['HOME=/', 'LEVEL=info', ...names],
    persist: null,
  });
});

test('merges the entry’s environment and replaces init and arguments by the entry’s', () => {
  const {
    path,
    arguments: args,
    environment,
  } = start({
    init: '/other',
    args: [],
    env: new Map([
      ['LEVEL', 'debug'],
      ['HOME', null],
      ['NEW', ''],
    ]),
  });
  assert.deepEqual([path, args], ['/other', ['/other']]);
  assert.deepEqual(environment, ['LEVEL=debug', 'NEW=', ...names]);
});

test('lets a single run replace init, arguments and environment where it says any', () => {
  const entry = { args: ['entry'], env: new Map([['A', 'entry']]) };
  const run = { id: 2, init: '/once', args: ['x'], env: new Map([['B', 'run']]) };
  assert.deepEqual(start({ ...entry, run }).environment, ['B=run', ...names]);
  assert.deepEqual(start({ ...entry, run }).arguments, ['/once', 'x']);
  const empty = { id: 2, init: '', args: [], env: new Map<string, string>() };
  assert.deepEqual(start({ ...entry, run: empty }).arguments, ['/app', 'entry']);
  assert.deepEqual(start({ ...entry, run: empty }).environment, ['HOME=/', 'LEVEL=info', 'A=entry', ...names]);
});

test('puts the manifest’s init in the place of <INIT>', () => {
  assert.equal(start({ init: '/tools<INIT>' }).path, '/tools/app');
});

test('does not let the environment speak for the container', () => {
  const env = new Map([['NORTHSTAR_NAME', 'somebody']]);
  assert.deepEqual(
    start({ env }).environment.filter((variable) => variable.startsWith('NORTHSTAR_NAME')),
    [names[0]],
  );
});

test('refuses a resource container, unless the entry names an init', () => {
  const resource: Manifest = { name: 'data', version: '1.0.0', uid: 1, gid: 1 };
  const nothing = { init: null, args: null, env: new Map<string, string | null>(), run: null };
  const of = (entry: Partial<ContainerEntry>) =>
    startOf({ manifest: resource, entry: { ...nothing, ...entry }, dataDir: '/data' });
  assert.throws(() => of({}), { reason: 'StartFailed', message: 'data:1.0.0 has no init: it is a resource' });
  assert.equal(of({ init: '/bin/sh' }).path, '/bin/sh');
});

test('names the persist directory', () => {
  const mounts = new Map([['/data', { type: 'persist' } as const]]);
  assert.equal(start({}, { mounts }).persist, '/data/box');
});
