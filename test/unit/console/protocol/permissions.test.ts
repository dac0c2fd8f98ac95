import assert from 'node:assert/strict';
import type { Operation } from 'fast-json-patch';
import { test } from 'node:test';
import type { Tree, TreeMap } from '../../../../state/text/tree.ts';
import { patchPermissions, type Permission } from '../../../../src/console/protocol/permissions.ts';

const cases: readonly [title: string, operation: Operation, needed: readonly Permission[]][] = [
  ['to run', { op: 'add', path: '/containers/a/state', value: 'running' }, ['start']],
  ['to run by default', { op: 'remove', path: '/containers/a/state' }, ['start']],
  ['to stop', { op: 'replace', path: '/containers/a/state', value: 'mounted' }, ['kill']],
  ['to unmount', { op: 'replace', path: '/containers/a:1.0.0/state', value: 'installed' }, ['kill', 'umount']],
  ['to delete a package', { op: 'replace', path: '/containers/a/state', value: 'absent' }, ['kill', 'uninstall']],
  ['to stay mounted', { op: 'add', path: '/containers/mounted/state', value: 'mounted' }, ['kill']],
  ['to unmount what does not run', { op: 'add', path: '/containers/mounted/state', value: 'installed' }, ['umount']],
  ['to delete what does not run', { op: 'add', path: '/containers/mounted/state', value: 'absent' }, ['uninstall']],
  ['to mount', { op: 'add', path: '/containers/installed/state', value: 'mounted' }, ['mount']],
  ['to run what is absent', { op: 'add', path: '/containers/absent/state', value: 'running' }, ['install', 'start']],
  ['to mount what is absent', { op: 'add', path: '/containers/absent/state', value: 'mounted' }, ['install', 'mount']],
  ['to install', { op: 'add', path: '/containers/absent/state', value: 'installed' }, ['install']],
  ['a state of an entry that is not there', { op: 'add', path: '/containers/new/state', value: 'mounted' }, ['patch']],
  ['a run of an entry that is not there', { op: 'add', path: '/containers/new/run', value: 1 }, ['patch']],
  ['a state that is none', { op: 'add', path: '/containers/a/state', value: 7 }, ['patch']],
  ['below a state', { op: 'add', path: '/containers/a/state/x', value: 'running' }, ['patch']],
  ['one more run', { op: 'add', path: '/containers/a/run', value: 4 }, ['start']],
  ['the number of a run', { op: 'add', path: '/containers/a/run/id', value: 4 }, ['start']],
  ['a run with a command', { op: 'add', path: '/containers/a/run', value: { id: 4, args: ['x'] } }, ['start_command']],
  ['the command of a run', { op: 'add', path: '/containers/a/run/init', value: '/sh' }, ['start_command']],
  ['arguments', { op: 'add', path: '/containers/a/args/-', value: 'x' }, ['start_command']],
  ['no arguments', { op: 'remove', path: '/containers/a/args' }, ['start_command']],
  ['a variable', { op: 'add', path: '/containers/a/env/LEVEL', value: 'debug' }, ['start_command']],
  ['a program', { op: 'add', path: '/containers/a/init', value: '/sh' }, ['start_command']],
  ['a source', { op: 'add', path: '/containers/a/source', value: '/x.npk' }, ['patch']],
  ['a whole entry', { op: 'add', path: '/containers/a', value: { state: 'running' } }, ['patch']],
  ['all entries', { op: 'remove', path: '/containers' }, ['patch']],
  ['a repository', { op: 'add', path: '/repositories/a', value: { type: 'mem' } }, ['patch']],
  ['the document', { op: 'replace', path: '', value: {} }, ['patch']],
  ['a move', { op: 'move', from: '/containers/a/args', path: '/containers/a/state' }, ['patch']],
  ['a copy', { op: 'copy', from: '/containers/a/state', path: '/containers/b/state' }, ['patch']],
  ['a test', { op: 'test', path: '/containers/a/env/KEY', value: 'x' }, ['get']],
  ['what is no pointer', { op: 'remove', path: 'containers' }, ['patch']],
  ['a name with a slash in it', { op: 'add', path: '/containers~1a/a/state', value: 'running' }, ['patch']],
];

const entry = (fields: TreeMap): TreeMap => new Map([['version', '1.0.0'], ...fields]);
const document: Tree = new Map<string, Tree>([
  [
    'containers',
    new Map([
      ['a', entry(new Map())],
      ['a:1.0.0', entry(new Map([['state', 'running']]))],
      ...['mounted', 'installed', 'absent'].map((state) => [state, entry(new Map([['state', state]]))] as const),
    ]),
  ],
]);

for (const [title, operation, needed] of cases) {
  test(`a patch of ${title} needs ${needed.join(' and ')}`, () => {
    assert.deepEqual(patchPermissions([operation], document), needed);
  });
}

test('a patch needs what all its operations need, each once', () => {
  const of = (title: string) => cases.find(([each]) => each === title)![1];
  assert.deepEqual(patchPermissions([of('to run'), of('to stop'), of('one more run')], document), ['start', 'kill']);
});
