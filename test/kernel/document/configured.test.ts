// Repositories of the configuration, beside those of the document.
import assert from 'node:assert/strict';
import test from 'node:test';
import { repositoryEntry } from '../../../state/schema/build-desired.ts';
import type { Configured } from '../../../state/desired.ts';
import type { Store } from '../../../state/store.ts';
import { head, makePlace } from './document-fixture.ts';

const entry = repositoryEntry('system', { type: 'fs', dir: '/system', mountOnStart: false, capacity: {} });
const configured: Configured = new Map([['system', entry]]);
const repositoriesIn = (store: Store) => [...store.get().desired.repositories.keys()].sort();

test('repositories of the configuration are there beside those of the document, also after a restart', async (t) => {
  const place = await makePlace(t, `${head}repositories: { scratch: { type: mem } }\n`);
  const { documents, store } = await place.open({ configured });
  assert.deepEqual(repositoriesIn(store), ['scratch', 'system']);
  await documents.patch([{ op: 'add', path: '/containers/a', value: { state: 'mounted' } }], {
    lifetime: 'boot',
    origin: 'console',
  });
  assert.deepEqual(repositoriesIn(store), ['scratch', 'system']);
  assert.deepEqual(repositoriesIn((await place.open({ configured })).store), ['scratch', 'system']);
  assert.deepEqual(repositoriesIn((await place.open()).store), ['scratch'], 'one that left the configuration');
  assert.deepEqual(repositoriesIn((await (await makePlace(t, null)).open({ configured })).store), ['system']);
});

test('a name in both is an error of the document, with its place, and of a patch', async (t) => {
  const place = await makePlace(t, `${head}repositories:\n  system: { type: mem }\n`);
  const { documents, store } = await place.open({ configured });
  assert.deepEqual(repositoriesIn(store), ['system']);
  assert.equal(store.get().desired.repositories.get('system')?.type, 'fs');
  const { status, error } = store.get().document;
  assert.deepEqual([status, error?.line, error?.column], ['invalid', 3, 3]);
  assert.match(error?.message ?? '', /the configuration names a repository system already/);
  await place.write(head);
  const value = { type: 'mem' };
  await assert.rejects(
    documents.patch([{ op: 'add', path: '/repositories/system', value }], { lifetime: 'boot', origin: 'console' }),
    /the configuration names a repository system already/,
  );
});

test('a stored generation that names what the configuration names now is not understood any more', async (t) => {
  const place = await makePlace(t, `${head}repositories: { system: { type: mem } }\n`);
  await place.open();
  const { store } = await place.open({ configured });
  assert.equal(store.get().desired.repositories.get('system')?.type, 'fs');
  assert.equal(store.get().document.status, 'invalid');
});
