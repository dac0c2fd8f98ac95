// What commands may say over a signed document.
import assert from 'node:assert/strict';
import type { Operation } from 'fast-json-patch';
import test from 'node:test';
import { checkSignedPatch } from '../../../../state/document/signed-patches.ts';
import { DocumentSigned } from '../../../../state/document/refusals.ts';
import { toTree } from '../../../../state/text/tree.ts';

const tree = toTree({ containers: { app: { state: 'running' } }, repositories: { main: { type: 'mem' } } });

test('state, run and paused of what the document names, and nothing else of it', () => {
  const allowed: Operation[] = [
    { op: 'add', path: '/containers/app/state', value: 'mounted' },
    { op: 'replace', path: '/containers/app/run', value: 2 },
    { op: 'add', path: '/containers/app/run', value: { id: 3, args: ['-v'] } },
    { op: 'add', path: '/containers/app/run/id', value: 4 },
    { op: 'remove', path: '/containers/app/paused' },
  ];
  for (const operation of allowed) checkSignedPatch([operation], tree);
  const refused: Operation[] = [
    { op: 'add', path: '', value: {} },
    { op: 'add', path: '/containers', value: {} },
    { op: 'add', path: '/containers/app', value: { state: 'mounted' } },
    { op: 'remove', path: '/containers/app' },
    { op: 'add', path: '/containers/app/env', value: { A: 'b' } },
    { op: 'add', path: '/containers/app/env/state', value: 'b' },
    { op: 'add', path: '/containers/app/init', value: '/bin/sh' },
    { op: 'add', path: '/containers/app/version', value: '1.0.0' },
    { op: 'add', path: '/repositories/main/key', value: '/etc/key' },
    { op: 'add', path: '/autostart', value: 'run' },
    { op: 'add', path: '/metadata/serial', value: 0 },
    { op: 'move', from: '/containers/app/state', path: '/containers/app/run' },
    { op: 'copy', from: '/containers/app/env', path: '/containers/app/state' },
  ];
  for (const operation of refused)
    assert.throws(() => checkSignedPatch([operation], tree), DocumentSigned, JSON.stringify(operation));
  assert.throws(() => checkSignedPatch([...allowed, ...refused.slice(0, 1)], tree), DocumentSigned);
});

test('what the document does not name can be there and be taken away, and never runs', () => {
  for (const value of [{ state: 'mounted' }, { state: 'installed', repository: 'main' }, { state: 'absent' }])
    checkSignedPatch([{ op: 'add', path: '/containers/other:1.0.0', value }], tree);
  checkSignedPatch([{ op: 'add', path: '/containers/other/state', value: 'mounted' }], tree);
  checkSignedPatch([{ op: 'remove', path: '/containers/other' }], tree);
  const refused: unknown[] = [
    {},
    null,
    'mounted',
    { state: 'running' },
    { state: 'mounted', source: '/tmp/x.npk' },
    { state: ['mounted'] },
    { state: 'running', run: 1 },
  ];
  for (const value of refused)
    assert.throws(
      () => checkSignedPatch([{ op: 'add', path: '/containers/other', value }], tree),
      DocumentSigned,
      JSON.stringify(value),
    );
  for (const value of ['running', null, 'x'])
    assert.throws(
      () => checkSignedPatch([{ op: 'add', path: '/containers/other/state', value }], tree),
      DocumentSigned,
    );
  assert.throws(() => checkSignedPatch([{ op: 'add', path: '/containers/other/run', value: 1 }], tree), DocumentSigned);
});
