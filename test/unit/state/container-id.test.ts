// Ids of containers: what is a name, what a version.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { containerId, containerName, parseContainerId, splitContainerId } from '../../../state/container-id.ts';

test('an id is split at its colon; a name alone has no version', () => {
  assert.deepEqual(splitContainerId(containerId('maps', '1.2.3-rc.1+a')), { name: 'maps', version: '1.2.3-rc.1+a' });
  assert.deepEqual(splitContainerId('maps'), { name: 'maps', version: null });
  assert.equal(containerName('maps:1.0.0'), 'maps');
  assert.equal(containerName('maps'), 'maps');
});

test('a text from outside is an id only when it is two parts with one colon between them', () => {
  assert.deepEqual(parseContainerId('maps:1.0.0'), { name: 'maps', version: '1.0.0' });
  for (const text of ['', 'maps', ':1.0.0', 'maps:', 'maps:1.0.0:2', '::']) assert.equal(parseContainerId(text), null);
});
