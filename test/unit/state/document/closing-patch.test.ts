import assert from 'node:assert/strict';
import test from 'node:test';
import { closingPatch } from '../../../../state/document/closing-patch.ts';
import type { Command } from '../../../../state/document/command-patches.ts';
import { stateOf, type Given } from '../../../support/command-state.ts';

const remove = (path: string) => [{ op: 'remove', path }];

/** The patch that closes a command which led from one document to another. */
function closing(command: Command, before: string, now: string, given: Given = {}) {
  const [first, last] = [before, now].map((containers) => stateOf({ ...given, containers }));
  assert.ok(first !== undefined && last !== undefined);
  return closingPatch(command, { before: first, patched: last, now: last });
}

test('a run that a command has asked for goes when it has begun, where there was none before', () => {
  const start: Command = { type: 'start', container: 'a:1.0.0' };
  const [idle, runs] = ['{ a: { version: 1.0.0, state: mounted } }', '{ a: { version: 1.0.0, run: 2 } }'];
  assert.deepEqual(closing(start, idle, runs), remove('/containers/a/run'));
  assert.deepEqual(closing({ type: 'restart', name: 'a' }, '{ a: {} }', runs), remove('/containers/a/run'));
  assert.deepEqual(closing(start, '{}', '{ "a:1.0.0": { run: 1 } }'), remove('/containers/a:1.0.0/run'));
  // Who counts the runs goes on counting, and arguments belong to their run.
  assert.deepEqual(closing(start, '{ a: { state: mounted, run: 1 } }', runs), []);
  assert.deepEqual(closing(start, idle, '{ a: { run: { id: 2, args: [x] } } }'), []);
  // Somebody else has asked for another one meanwhile.
  const [before, patched, now] = [idle, runs, '{ a: { version: 1.0.0, run: 3 } }'].map((containers) =>
    stateOf({ containers }),
  );
  assert.ok(before !== undefined && patched !== undefined && now !== undefined);
  assert.deepEqual(closingPatch(start, { before, patched, now }), []);
});

test('an entry that a command has made to have something unmounted goes, unless it would be mounted again', () => {
  const umount: Command = { type: 'umount', container: 'a:1.0.0' };
  const entry = '{ "a:1.0.0": { state: installed } }';
  const ours: Given = { packages: ['a:1.0.0'], writtenBy: 'console' };
  assert.deepEqual(closing(umount, '{}', entry, ours), remove('/containers/a:1.0.0'));
  assert.deepEqual(closing(umount, '{}', entry, { ...ours, writtenBy: 'person' }), []);
  assert.deepEqual(closing(umount, '{}', '{ "a:1.0.0": { state: installed, env: { A: b } } }', ours), []);
  assert.deepEqual(closing(umount, '{}', entry, { ...ours, autostart: ['a:1.0.0'] }), []);
  const state = stateOf({ ...ours, containers: entry, mountOnStart: true });
  assert.deepEqual(closingPatch(umount, { before: state, patched: state, now: state }), []);
});
