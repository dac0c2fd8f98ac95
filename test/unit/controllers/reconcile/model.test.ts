import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { createModel, type Model } from '../../../../controllers/reconcile/model.ts';
import type { ContainerEntry } from '../../../../state/desired.ts';
import type { ObservedAttempt, ObservedMount, ObservedPackage } from '../../../../state/observed.ts';
import { createStore, type State, type Store } from '../../../../state/store.ts';
import { observedRepository } from '../../../support/console/fake-state.ts';
import { attempt, mountOf, packageOf, target } from '../../../support/views.ts';

let store: Store;
let model: Model;
/** Names that the last change concerned. */
let affected: string[];

beforeEach(() => {
  store = createStore();
  model = createModel({ autostart: false });
  model.update(store.get(), null);
  store.subscribe((operations, state) => {
    const change = model.update(state, operations);
    affected = [...change.affected].sort();
    for (const [key, locked] of change.locks) change.affected.add(`locked ${key} ${locked.version}`);
  });
});

/** The state as something that may be written; the store hands out a draft. */
interface Writable {
  desired: { containers: Map<string, ContainerEntry> };
  observed: {
    packages: Map<string, readonly ObservedPackage[]>;
    mounts: Map<string, readonly ObservedMount[]>;
    attempts: Map<string, readonly ObservedAttempt[]>;
  };
}

function change(recipe: (state: Writable) => void): string[] {
  affected = [];
  store.update((draft) => {
    recipe(draft);
  });
  return affected;
}

function entry(name: string, fields: Partial<ContainerEntry> = {}): ContainerEntry {
  return { ...target('running', null, null, { ...fields }).entry, key: name, name };
}

function installed(name: string, version = '1.0.0', mounts?: ObservedPackage['manifest']['mounts']): ObservedPackage {
  const manifest = { name, version, init: '/app', uid: 1, gid: 1, ...(mounts ? { mounts } : {}) };
  return packageOf(version, { id: `${name}:${version}`, name, manifest });
}

const data = new Map([['/data', { type: 'resource' as const, name: 'data', version: '^1', dir: '/', options: [] }]]);

function started(name: string, fields: Partial<ObservedAttempt['record']> = {}): ObservedAttempt {
  const base = attempt(7, '1.0.0');
  return { ...base, name, record: { ...base.record, ...fields } };
}

test('one more container among five hundred concerns itself alone', () => {
  change(({ desired, observed }) => {
    for (let index = 0; index < 500; index += 1) {
      desired.containers.set(`c${index}`, entry(`c${index}`));
      observed.packages.set(`c${index}`, [installed(`c${index}`)]);
    }
  });
  assert.deepEqual(
    change(({ desired }) => void desired.containers.set('one-more', entry('one-more'))),
    ['one-more'],
  );
});

test('a document that was read anew concerns the entries that it changed', () => {
  change(({ desired }) => void desired.containers.set('a', entry('a')).set('b', entry('b')));
  const again = new Map([
    ['a', entry('a')],
    ['b', entry('b', { generation: 2 })],
  ]);
  assert.deepEqual(
    change(({ desired }) => void (desired.containers = again)),
    ['b'],
  );
});

test('an entry that is gone concerns its name', () => {
  change(({ desired }) => void desired.containers.set('a', entry('a')));
  assert.deepEqual(
    change(({ desired }) => void desired.containers.delete('a')),
    ['a'],
  );
  assert.deepEqual(model.view('a', 0).targets, []);
});

test('a resource concerns its users, and they it', () => {
  change(({ desired, observed }) => {
    desired.containers.set('user', entry('user'));
    observed.packages.set('user', [installed('user', '1.0.0', data)]);
  });
  const found = change(({ observed }) => void observed.packages.set('data', [installed('data', '1.4.0')]));
  assert.deepEqual(found, ['data', 'user']);
  assert.deepEqual(model.view('data', 0).mountsWanted, new Map([['1.4.0', ['user']]]));
  const mount = mountOf('1.4.0', { id: 'data:1.4.0', name: 'data' });
  assert.deepEqual(
    change(({ observed }) => void observed.mounts.set('data', [mount])),
    ['data', 'user'],
  );
  assert.deepEqual(model.view('user', 0).resourceMounts, new Map([['data:1.4.0', mount]]));
});

test('an image is in use as long as an attempt lives that uses it, whatever the document says', () => {
  change(({ observed }) => void observed.attempts.set('user', [started('user', { uses: ['data:1.4.0'] })]));
  assert.deepEqual(model.view('data', 0).usedBy, new Map([['1.4.0', ['user']]]));
  assert.deepEqual(model.view('data', 0).mountsWanted, new Map());
  const gone = change(({ observed }) => void observed.attempts.delete('user'));
  assert.deepEqual(gone, ['data', 'user']);
  assert.deepEqual(model.view('data', 0).usedBy, new Map());
});

test('a user whose run has ended asks for nothing, and what it has used may stay', () => {
  change(({ desired, observed }) => {
    observed.packages.set('user', [installed('user', '1.0.0', data)]);
    observed.packages.set('data', [installed('data', '1.4.0')]);
    const { restart } = entry('user');
    desired.containers.set('user', entry('user', { restart: { ...restart, policy: 'never' } }));
    const done = { ...started('user', { uses: ['data:1.4.0'] }), state: 'exited', exit: { code: 0 } } as const;
    observed.attempts.set('user', [done]);
  });
  const { mountsWanted, usedBy, wasUsedBy } = model.view('data', 0);
  assert.deepEqual([mountsWanted, usedBy], [new Map(), new Map()]);
  assert.deepEqual(wasUsedBy, new Map([['1.4.0', ['user']]]));
  change(({ observed }) => void observed.attempts.delete('user'));
  assert.deepEqual(model.view('data', 0).wasUsedBy, new Map());
});

test('a start waits for what it depends on, and is concerned when that runs', () => {
  change(({ desired }) => {
    desired.containers.set('broker', entry('broker'));
    desired.containers.set('user', entry('user', { dependsOn: new Map([['broker', 'running']]) }));
  });
  assert.deepEqual(model.view('user', 0).dependenciesDown, ['broker']);
  assert.deepEqual(
    change(({ observed }) => void observed.attempts.set('broker', [started('broker')])),
    ['broker', 'user'],
  );
  assert.deepEqual(model.view('user', 0).dependenciesDown, []);
});

test('those that depend on a name and go down too stop first, also when both entries are gone', () => {
  change(({ observed }) => {
    observed.attempts.set('broker', [started('broker')]);
    observed.attempts.set('user', [started('user', { dependsOn: ['broker'] })]);
  });
  assert.deepEqual(model.view('broker', 0).dependentsUp, ['user']);
  assert.deepEqual(model.view('user', 0).dependentsUp, []);
});

test('a start that is under way when its entry goes stands on what it depends on, as what runs does', () => {
  change(({ desired, observed }) => {
    desired.containers.set('broker', entry('broker'));
    desired.containers.set('user', entry('user', { dependsOn: new Map([['broker', 'running']]) }));
    observed.attempts.set('broker', [started('broker')]);
  });
  const over = model.begin('user');
  assert.deepEqual(model.view('broker', 0).dependentsUp, []);
  change(({ desired }) => {
    desired.containers.clear();
  });
  assert.deepEqual(model.view('broker', 0).dependentsUp, ['user']);
  change(({ observed }) => void observed.attempts.set('user', [started('user', { dependsOn: ['broker'] })]));
  assert.deepEqual(model.view('broker', 0).dependentsUp, ['user']);
  assert.deepEqual(over(), ['broker']);
  assert.deepEqual(over(), []);
  assert.deepEqual(model.view('broker', 0).dependentsUp, ['user']);
  change(({ observed }) => void observed.attempts.delete('user'));
  assert.deepEqual(model.view('broker', 0).dependentsUp, []);
});

test('a package that is missing concerns nobody whose entry does not need it', () => {
  change(({ desired, observed }) => {
    desired.containers.set('app', entry('app'));
    observed.packages.set('app', [installed('app')]);
    observed.attempts.set('app', [started('app', { entry: 'an older one' })]);
  });
  assert.deepEqual(
    change(({ desired }) => void desired.containers.set('other', entry('other'))),
    ['other'],
  );
});

test('the status concerns nobody', () => {
  affected = ['nothing happened'];
  store.update((draft) => void (draft.status.generation = 9));
  assert.deepEqual(affected, []);
});

test('a shutdown concerns everything that there is', () => {
  change(({ observed }) => {
    observed.attempts.set('a', [started('a')]);
    observed.mounts.set('b', [mountOf('1.0.0')]);
  });
  assert.deepEqual([...model.stop().affected].sort(), ['a', 'b']);
  assert.ok(model.view('a', 0).stopping);
});

test('autostart is judged over what was there at the start, until it is done', () => {
  const starter = installed('auto');
  const packages = new Map([
    ['auto', [{ ...starter, manifest: { ...starter.manifest, autostart: 'relaxed' as const } }]],
  ]);
  const state: State = { ...store.get(), observed: { ...store.get().observed, packages } };
  const judging = createModel({ autostart: true });
  judging.update(state, null);
  assert.deepEqual(judging.autostartPending(), ['auto']);
  assert.equal(judging.view('auto', 0).targets[0]?.autostart, 'relaxed');
  const judged = createModel({ autostart: false });
  judged.update(state, null);
  assert.deepEqual(judged.view('auto', 0).targets, []);
});

test('what a repository holds that cannot be read at the start is judged when it can be', () => {
  const starter = installed('auto');
  const auto = { ...starter, manifest: { ...starter.manifest, autostart: 'relaxed' as const } };
  const judging = createModel({ autostart: true });
  const own = createStore(store.get());
  const show = (stale: boolean) => {
    own.update((draft) => {
      const { observed } = draft as unknown as {
        observed: { repositories: Map<string, unknown> } & Writable['observed'];
      };
      observed.repositories.set('system', { ...observedRepository, id: 'system', stale });
      if (!stale) observed.packages.set('auto', [{ ...auto, repository: 'system' }]);
    });
  };
  show(true);
  judging.update(own.get(), null);
  assert.equal(judging.autostartPending(), null);
  own.subscribe((operations, state) => void judging.update(state, operations));
  show(false);
  assert.deepEqual(judging.autostartPending(), ['auto']);
  assert.equal(judging.view('auto', 0).targets[0]?.autostart, 'relaxed');
});
