import assert from 'node:assert/strict';
import test from 'node:test';
import type { Operation } from 'fast-json-patch';
import {
  commandPatch,
  CommandError,
  withdrawInstall,
  withdrawStart,
  type Command,
} from '../../../../state/document/command-patches.ts';
import type { Manifest } from '../../../../state/schema/manifest.ts';
import { stateOf, type Given } from '../../../support/command-state.ts';

const add = (path: string, value: unknown): Operation => ({ op: 'add', path, value });
const never = { policy: 'never' };

const resource: Manifest['mounts'] = new Map([['/r', { type: 'resource', name: 'r', version: '^1', dir: '/' }]]);

const table: [what: string, given: Given, command: Command, operations: Operation[]][] = [
  [
    'start of a container without an entry makes one for that version that is not restarted',
    { packages: ['a:1.0.0'] },
    { type: 'start', container: 'a:1.0.0' },
    [add('/containers/a:1.0.0', { state: 'running', run: 1, restart: never })],
  ],
  [
    'start of one version ends the entry of another, whose run has ended',
    {
      containers: '{ "a:1.0.0": { state: running, run: 1, restart: { policy: never } } }',
      packages: ['a:1.0.0', 'a:2.0.0'],
      ended: { a: { version: '1.0.0', run: 1 } },
    },
    { type: 'start', container: 'a:2.0.0' },
    [
      add('/containers/a:1.0.0/state', 'mounted'),
      add('/containers/a:2.0.0', { state: 'running', run: 2, restart: never }),
    ],
  ],
  [
    'start of one version leaves the entry of another that is to start again',
    {
      containers: '{ "a:1.0.0": { state: running, run: 1, restart: { policy: always } } }',
      packages: ['a:1.0.0', 'a:2.0.0'],
      ended: { a: { version: '1.0.0', run: 1 } },
    },
    { type: 'start', container: 'a:2.0.0' },
    [add('/containers/a:2.0.0', { state: 'running', run: 2, restart: never })],
  ],
  [
    'start of one version leaves the entry of another that asks for a further run',
    {
      containers: '{ "a:1.0.0": { state: running, run: 2, restart: { policy: never } } }',
      packages: ['a:1.0.0', 'a:2.0.0'],
      ended: { a: { version: '1.0.0', run: 1 } },
    },
    { type: 'start', container: 'a:2.0.0' },
    [add('/containers/a:2.0.0', { state: 'running', run: 3, restart: never })],
  ],
  [
    'start mounts the resources that a console has unmounted',
    {
      containers: '{ "r:1.0.0": { state: installed } }',
      packages: ['a:1.0.0', 'r:1.0.0'],
      mounts: new Map([['a:1.0.0', resource]]),
      writtenBy: 'console',
    },
    { type: 'start', container: 'a:1.0.0' },
    [
      add('/containers/r:1.0.0/state', 'mounted'),
      add('/containers/a:1.0.0', { state: 'running', run: 1, restart: never }),
    ],
  ],
  [
    'start leaves what a person says of its resources',
    {
      containers: '{ "r:1.0.0": { state: installed } }',
      packages: ['a:1.0.0', 'r:1.0.0'],
      mounts: new Map([['a:1.0.0', resource]]),
    },
    { type: 'start', container: 'a:1.0.0' },
    [add('/containers/a:1.0.0', { state: 'running', run: 1, restart: never })],
  ],
  [
    'start of the version that the entry of the name is locked to changes that entry',
    {
      containers: '{ a: { version: ^1, state: mounted, run: 4 } }',
      packages: ['a:1.0.0', 'a:1.1.0'],
      lock: { a: '1.0.0' },
    },
    { type: 'start', container: 'a:1.0.0' },
    [add('/containers/a/state', 'running'), add('/containers/a/run', 5)],
  ],
  [
    'start of another version than the entry of the name resolves to makes an entry of its own',
    { containers: '{ a: { version: ^1, state: mounted } }', packages: ['a:1.0.0', 'a:1.1.0'] },
    { type: 'start', container: 'a:1.0.0' },
    [add('/containers/a:1.0.0', { state: 'running', run: 1, restart: never })],
  ],
  [
    'start of an exact version that is not installed yet means its entry',
    { containers: '{ a: { version: 1.0.0, state: installed } }' },
    { type: 'start', container: 'a:1.0.0' },
    [add('/containers/a/state', 'running'), add('/containers/a/run', 1)],
  ],
  [
    'resume of what does not run any more ends the pause, too',
    { containers: '{ "a:1.0.0": { state: mounted, paused: true } }' },
    { type: 'resume', name: 'a' },
    [{ op: 'remove', path: '/containers/a:1.0.0/paused' }],
  ],
  [
    'start with arguments puts them into the run; empty ones replace nothing',
    { containers: '{ "a:1.0.0": { state: mounted } }' },
    { type: 'start', container: 'a:1.0.0', init: null, args: ['-v'], env: { A: 'x' } },
    [
      add('/containers/a:1.0.0/state', 'running'),
      add('/containers/a:1.0.0/run', { id: 1, args: ['-v'], env: { A: 'x' } }),
    ],
  ],
  [
    'start takes a run that no earlier start of the name has had',
    { containers: '{ "a:1.0.0": { state: mounted, run: 2 } }', running: { a: { version: '0.9.0', run: 8 } } },
    { type: 'start', container: 'a:1.0.0', args: [], env: {} },
    [add('/containers/a:1.0.0/state', 'running'), add('/containers/a:1.0.0/run', 9)],
  ],
  [
    'kill with TERM wants the container mounted',
    { containers: '{ a: { version: 1.0.0 } }' },
    { type: 'kill', container: 'a:1.0.0', signal: 15 },
    [add('/containers/a/state', 'mounted')],
  ],
  [
    'kill with KILL of what runs without an entry makes one',
    { running: { a: { version: '1.0.0', run: null } } },
    { type: 'kill', container: 'a:1.0.0', signal: 9 },
    [add('/containers/a:1.0.0', { state: 'mounted' })],
  ],
  [
    'kill with another signal wants nothing',
    { containers: '{ a: { version: 1.0.0 } }' },
    { type: 'kill', container: 'a:1.0.0', signal: 10 },
    [],
  ],
  [
    'kill of what is to be mounted only wants nothing',
    { containers: '{ a: { version: 1.0.0, state: mounted } }' },
    { type: 'kill', container: 'a:1.0.0', signal: 9 },
    [],
  ],
  [
    'stop wants every running entry of the name mounted',
    { containers: '{ a: { state: installed }, "a:1.0.0": {}, b: {} }' },
    { type: 'stop', name: 'a' },
    [add('/containers/a:1.0.0/state', 'mounted')],
  ],
  [
    'stop of what runs by autostart makes an entry',
    { running: { a: { version: '1.0.0', run: null } } },
    { type: 'stop', name: 'a' },
    [add('/containers/a:1.0.0', { state: 'mounted' })],
  ],
  [
    'mount wants the container mounted',
    { containers: '{ a: { version: 1.0.0, state: installed } }' },
    { type: 'mount', container: 'a:1.0.0' },
    [add('/containers/a/state', 'mounted')],
  ],
  [
    'mount of a running container wants nothing',
    { containers: '{ a: { version: 1.0.0 } }' },
    { type: 'mount', container: 'a:1.0.0' },
    [],
  ],
  [
    'uninstall of a version beside another that fits leaves the entry to that one',
    { containers: '{ a: { version: ^1, state: mounted } }', packages: ['a:1.0.0', 'a:1.1.0'], lock: { a: '1.1.0' } },
    { type: 'uninstall', container: 'a:1.1.0', wipe: false },
    [add('/containers/a:1.1.0', { state: 'absent' })],
  ],
  [
    'uninstall of the last version that fits is what the entry says then',
    { containers: '{ a: { version: ^1, state: mounted } }', packages: ['a:2.0.0', 'a:1.1.0'], lock: { a: '1.1.0' } },
    { type: 'uninstall', container: 'a:1.1.0', wipe: false },
    [add('/containers/a/state', 'absent')],
  ],
  [
    'umount wants the container installed',
    { containers: '{ a: { version: 1.0.0, state: mounted } }' },
    { type: 'umount', container: 'a:1.0.0' },
    [add('/containers/a/state', 'installed')],
  ],
  [
    'install makes an entry with the repository',
    {},
    { type: 'install-entry', container: 'a:1.0.0', repository: 'system', source: null },
    [add('/containers/a:1.0.0', { state: 'installed', repository: 'system' })],
  ],
  [
    'install of what an entry covers wants nothing',
    { containers: '{ a: { version: ^1 } }' },
    { type: 'install-entry', container: 'a:1.4.0', repository: 'system', source: null },
    [],
  ],
  [
    'install of what an entry wants absent changes that',
    { containers: '{ "a:1.0.0": { state: absent } }' },
    { type: 'install-entry', container: 'a:1.0.0', repository: 'system', source: null },
    [add('/containers/a:1.0.0/state', 'installed')],
  ],
  [
    'install from a server makes an entry with the source',
    {},
    { type: 'install-entry', container: 'a:1.0.0', repository: null, source: 'https://host/a.npk' },
    [add('/containers/a:1.0.0', { state: 'installed', source: 'https://host/a.npk' })],
  ],
  [
    'install from a server gives the entry that covers it the source',
    { containers: '{ a: { version: ^1, state: absent } }' },
    { type: 'install-entry', container: 'a:1.4.0', repository: null, source: 'https://host/a.npk' },
    [add('/containers/a/source', 'https://host/a.npk'), add('/containers/a/state', 'installed')],
  ],
  [
    'uninstall wants the container absent',
    { containers: '{ a: { version: 1.0.0, state: mounted } }' },
    { type: 'uninstall', container: 'a:1.0.0', wipe: false },
    [add('/containers/a/state', 'absent')],
  ],
  [
    'uninstall without an entry makes one',
    {},
    { type: 'uninstall', container: 'a:1.0.0', wipe: true },
    [add('/containers/a:1.0.0', { state: 'absent' })],
  ],
  [
    'restart asks for another run',
    { containers: '{ a: { run: 3 } }' },
    { type: 'restart', name: 'a' },
    [add('/containers/a/run', 4)],
  ],
  [
    'restart keeps the arguments of the run before',
    { containers: '{ a: { run: { id: 3, args: [-v] } } }' },
    { type: 'restart', name: 'a' },
    [add('/containers/a/run', { id: 4, args: ['-v'] })],
  ],
  ['update changes nothing in the document', { containers: '{ a: {} }' }, { type: 'update', name: 'a' }, []],
];

for (const [what, given, command, operations] of table) {
  test(what, () => assert.deepEqual(commandPatch(command, stateOf(given)), operations));
}

test('stop and restart of a name that is not known or not to run are errors', () => {
  for (const type of ['stop', 'restart'] as const) {
    assert.throws(() => commandPatch({ type, name: 'a' }, stateOf({})), CommandError);
    assert.throws(
      () => commandPatch({ type, name: 'a' }, stateOf({ containers: '{ a: { state: mounted } }' })),
      CommandError,
    );
  }
});

test('a start that failed is taken back, unless its entry was to run before or says something else by now', () => {
  const packages = ['a:1.0.0'];
  const at = (containers: string) => stateOf({ containers, packages });
  const started = at('{ "a:1.0.0": { state: running, run: 5, args: [b] } }');
  const back = (before: string, now = started) => withdrawStart('a:1.0.0', at(before), started, now);
  assert.deepEqual(back('{}'), [{ op: 'remove', path: '/containers/a:1.0.0' }]);
  assert.deepEqual(back('{ "a:1.0.0": { state: mounted } }'), [
    add('/containers/a:1.0.0/state', 'mounted'),
    { op: 'remove', path: '/containers/a:1.0.0/run' },
  ]);
  assert.deepEqual(back('{ "a:1.0.0": { state: installed, run: { id: 4, args: [x], env: { A: b } } } }'), [
    add('/containers/a:1.0.0/state', 'installed'),
    add('/containers/a:1.0.0/run', { id: 4, args: ['x'], env: { A: 'b' } }),
  ]);
  assert.deepEqual(back('{ "a:1.0.0": { state: running, run: 4 } }'), []);
  assert.deepEqual(back('{}', at('{ "a:1.0.0": { state: running, run: 6 } }')), []);
  assert.deepEqual(back('{}', at('{}')), []);
});

test('an installation from a server that failed is taken back, unless its entry says something else by now', () => {
  const at = (containers: string) => stateOf({ containers, packages: [] });
  const [container, source] = ['a:1.0.0', 'https://host/a.npk'];
  const order = { type: 'install-entry', container, repository: 'system', source } as const;
  const asked = at(`{ a: { state: installed, source: "${source}", repository: system } }`);
  const back = (before: string, now = asked) => withdrawInstall(order, at(before), now);
  assert.deepEqual(back('{}'), [{ op: 'remove', path: '/containers/a' }]);
  assert.deepEqual(back('{ a: { state: absent, source: "https://host/old.npk" } }'), [
    add('/containers/a/state', 'absent'),
    { op: 'remove', path: '/containers/a/repository' },
    add('/containers/a/source', 'https://host/old.npk'),
  ]);
  assert.deepEqual(back('{}', at('{ a: { state: installed, source: "https://host/b.npk" } }')), []);
  assert.deepEqual(back('{}', at('{}')), []);
});
