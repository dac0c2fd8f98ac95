import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { View } from '../../../../controllers/controller.ts';
import { brokenFilesOf } from '../../../../state/broken-files.ts';
import { indexPackages } from '../../../../controllers/repositories/package-index.ts';
import { planRepositories, type RepositoryStep } from '../../../../controllers/repositories/repositories-plan.ts';
import type { ObservedPackage } from '../../../../state/observed.ts';
import { attempt, lines, mountOf, packageOf, target, view } from '../../../support/views.ts';

const one = packageOf('1.0.0');
const two = packageOf('2.0.0');
const source = '/inbox/app.npk';

const cases: Record<string, { sees: Partial<View>; plans: string[]; into?: null }> = {
  'what is installed needs nothing': {
    sees: { packages: [one], targets: [target('installed', '1.0.0', one, { source })] },
    plans: [],
  },
  'what is missing and has a source is installed into the default repository': {
    sees: { targets: [target('running', '1.0.0', null, { source })] },
    plans: ['install /inbox/app.npk into system'],
  },
  'an entry may name the repository': {
    sees: { targets: [target('running', '1.0.0', null, { source, repository: 'other' })] },
    plans: ['install /inbox/app.npk into other'],
  },
  'without any repository the installation waits': {
    sees: { targets: [target('running', '1.0.0', null, { source })] },
    into: null,
    plans: ['install /inbox/app.npk into , waits: there is no repository to install into'],
  },
  'what is missing and has no source is nothing to be done about': {
    sees: { targets: [target('running', '1.0.0', null)] },
    plans: [],
  },
  'while the runtime goes down nothing is installed': {
    sees: { stopping: true, targets: [target('running', '1.0.0', null, { source })] },
    plans: [],
  },
  'a package whose bytes the document prescribes is hashed': {
    sees: { packages: [one], targets: [target('running', '1.0.0', one, { digest: 'sha256:00' })] },
    plans: ['digest app:1.0.0'],
  },
  'a package with the prescribed bytes needs nothing': {
    sees: {
      packages: [packageOf('1.0.0', { digest: 'sha256:00' })],
      targets: [target('running', '1.0.0', packageOf('1.0.0', { digest: 'sha256:00' }), { digest: 'sha256:00' })],
    },
    plans: [],
  },
  'a package with other bytes stays as it is, and the reason is named': {
    sees: {
      targets: [target('running', '1.0.0', packageOf('1.0.0', { digest: 'sha256:11' }), { digest: 'sha256:00' })],
    },
    plans: ['digest app:1.0.0, waits: app:1.0.0 in system has sha256:11, the document asks for sha256:00'],
  },
  'a package is hashed whose bytes were known when the entry was resolved': {
    sees: { targets: [{ ...target('running', '1.0.0', one), digest: 'sha256:00' }] },
    plans: ['digest app:1.0.0'],
  },
  'other bytes than were known then are not refused': {
    sees: {
      targets: [{ ...target('running', '1.0.0', packageOf('1.0.0', { digest: 'sha256:11' })), digest: 'sha256:00' }],
    },
    plans: [],
  },
  'an absent package is deleted': {
    sees: { packages: [one], targets: [target('absent', '1.0.0', one)] },
    plans: ['uninstall app:1.0.0'],
  },
  'an absent package that is not there needs nothing, with a source too': {
    sees: { targets: [target('absent', '1.0.0', null, { source })] },
    plans: [],
  },
  'an absent entry without a version deletes every version that no other entry keeps': {
    sees: {
      packages: [two, one],
      targets: [target('absent', '2.0.0', two, { version: null }), target('installed', '1.0.0', one)],
    },
    plans: ['uninstall app:2.0.0'],
  },
  'an absent entry with a version leaves other versions alone': {
    sees: { packages: [two, one], targets: [target('absent', '1.0.0', one)] },
    plans: ['uninstall app:1.0.0'],
  },
  'an absent entry that names a repository deletes nothing in another one': {
    sees: {
      packages: [{ ...one, elsewhere: [{ ...one, repository: 'b', path: '/b/app.npk', identity: two.identity }] }],
      mounts: [mountOf('1.0.0', { backing: { dev: 1, ino: 1 } })],
      targets: [target('running', '1.0.0', one), target('absent', '1.0.0', one, { repository: 'b' })],
    },
    plans: ['uninstall app:1.0.0, waits: its image is still mounted'],
  },
  'a file goes after its mount': {
    sees: { packages: [one], mounts: [mountOf('1.0.0')], targets: [target('absent', '1.0.0', one)] },
    plans: ['uninstall app:1.0.0, waits: its image is still mounted'],
  },
  'a file goes after everything that uses it': {
    sees: {
      packages: [one],
      mounts: [mountOf('1.0.0')],
      attempts: [attempt(7, '1.0.0')],
      usedBy: new Map([['1.0.0', ['user']]]),
      targets: [target('absent', '1.0.0', one)],
    },
    plans: ['uninstall app:1.0.0, waits: in use by attempt 7, user'],
  },
};

function text(step: RepositoryStep): string {
  return step.op === 'install' ? `install ${step.source} into ${step.repository}` : `${step.op} ${step.id}`;
}

for (const [name, { sees, plans, into = 'system' }] of Object.entries(cases)) {
  test(name, () => assert.deepEqual(lines(planRepositories(view(sees), into), text), plans));
}

function repository(id: string, packages: ObservedPackage[]) {
  const observed = {
    id,
    type: 'fs' as const,
    dir: `/${id}`,
    verified: false,
    integrity: 'none' as const,
    packages: packages.length,
    size: 0,
    broken: [],
    error: null,
    stale: false,
  };
  return { packages: () => packages, observed: () => observed };
}

test('of a container in two repositories the first by id counts, in whatever order they are opened', () => {
  const first = packageOf('1.0.0', { repository: 'a', path: '/a/app.npk' });
  const second = packageOf('1.0.0', { repository: 'b', path: '/b/app.npk' });
  const index = indexPackages([repository('b', [second]), repository('a', [first])]);
  assert.deepEqual(index.packages.get('app'), [{ ...first, elsewhere: [second] }]);
  assert.deepEqual(index.duplicates, ['/b/app.npk: app:1.0.0 is already in /a/app.npk']);
  assert.equal(index.repositories.get('b')?.broken[0]?.message, 'app:1.0.0 is already in /a/app.npk');
});

test('of two files the one with its proper name counts, and what was put aside never does', () => {
  const named = ['.app.npk.bak', 'A.npk', 'app-1.0.0.npk', 'app-1.0.0.npk.old', 'app:1.0.0.npk'];
  const files = named.map((file) => packageOf('1.0.0', { repository: 'a', path: `/a/${file}` }));
  const winner = (all: typeof files) => indexPackages([repository('a', all)]).packages.get('app')?.[0]?.path;
  assert.equal(winner(files), '/a/app:1.0.0.npk');
  assert.equal(winner(files.slice(0, -1)), '/a/app-1.0.0.npk');
  assert.equal(winner(files.slice(0, 2)), '/a/A.npk');
  assert.deepEqual(
    indexPackages([repository('a', files)])
      .repositories.get('a')
      ?.broken.map(({ path }) => path),
    ['/a/app-1.0.0.npk', '/a/A.npk', '/a/.app.npk.bak', '/a/app-1.0.0.npk.old'],
  );
});

test('what was put aside does not take the place of a file that is broken', () => {
  const copy = packageOf('1.0.0', { repository: 'a', path: '/a/.app.npk.bak' });
  const source = repository('a', [copy]);
  const broken = [{ path: '/a/app-1.0.0.npk', message: 'not signed' }];
  const index = indexPackages([{ ...source, observed: () => ({ ...source.observed(), broken }) }]);
  assert.equal(index.packages.get('app'), undefined);
  assert.match(index.repositories.get('a')?.broken[1]?.message ?? '', /^\/a\/app-1.0.0.npk is broken/);
});

test('files that might have been a container are found by their names', () => {
  const broken = [
    'app:1.0.0.npk',
    'app-1.0.0.npk',
    'app.npk',
    '.app-1.0.0.npk',
    'apple-1.0.0.npk',
    'app-two-1.0.0.npk',
  ].map((file) => ({ path: `/a/${file}`, message: 'not signed' }));
  const twice = { path: '/a/x', message: 'app:1.0.0 is already in /a/y' };
  assert.deepEqual(
    brokenFilesOf('app', [{ broken: [...broken, twice] }]).map(({ path }) => path.slice(3)),
    ['app:1.0.0.npk', 'app-1.0.0.npk', 'app.npk', '.app-1.0.0.npk', 'x'],
  );
});

test('versions of a name stand highest first, compared as numbers', () => {
  const packages = ['1.9.0', '1.10.0', '1.2.0'].map((version) => packageOf(version));
  const index = indexPackages([repository('a', packages)]);
  assert.deepEqual(
    index.packages.get('app')?.map(({ version }) => version),
    ['1.10.0', '1.9.0', '1.2.0'],
  );
});
