import assert from 'node:assert/strict';
import { test } from 'node:test';
import { planMounts, type MountsStep } from '../../../../controllers/mounts/mounts-plan.ts';
import type { View } from '../../../../controllers/controller.ts';
import { attempt, lines, mountOf, packageOf, target, view } from '../../../support/views.ts';

const one = packageOf('1.0.0');
const two = packageOf('2.0.0');

const cases: Record<string, { sees: Partial<View>; plans: string[] }> = {
  'nothing is wanted and nothing is mounted': { sees: {}, plans: [] },
  'an installed package is not mounted': {
    sees: { packages: [one], targets: [target('installed', '1.0.0', one)] },
    plans: [],
  },
  'a package that is to be mounted is mounted': {
    sees: { packages: [one], targets: [target('mounted', '1.0.0', one)] },
    plans: ['mount app:1.0.0'],
  },
  'a container that is to run is mounted': {
    sees: { packages: [one], targets: [target('running', '1.0.0', one)] },
    plans: ['mount app:1.0.0'],
  },
  'an image that others need is mounted though no entry asks for it': {
    sees: { packages: [one], mountsWanted: new Map([['1.0.0', ['user']]]) },
    plans: ['mount app:1.0.0'],
  },
  'an image that others need is mounted even while this name goes down': {
    sees: { packages: [one], stopping: true, mountsWanted: new Map([['1.0.0', ['user']]]) },
    plans: ['mount app:1.0.0'],
  },
  'a resource whose user has ended stays mounted': {
    sees: { packages: [one], mounts: [mountOf('1.0.0')], wasUsedBy: new Map([['1.0.0', ['user']]]) },
    plans: [],
  },
  'a resource whose user has ended is not mounted for that': {
    sees: { packages: [one], wasUsedBy: new Map([['1.0.0', ['user']]]) },
    plans: [],
  },
  'a resource whose user has ended goes when its own entry asks for less': {
    sees: {
      packages: [one],
      mounts: [mountOf('1.0.0')],
      wasUsedBy: new Map([['1.0.0', ['user']]]),
      targets: [target('installed', '1.0.0', one)],
    },
    plans: ['umount app:1.0.0'],
  },
  'a mount waits for its package': {
    sees: { targets: [target('mounted', '1.0.0', null)] },
    plans: ['mount app:1.0.0, waits: app:1.0.0 is not installed'],
  },
  'a mount waits as long as it is not known that the package has the bytes asked for': {
    sees: { packages: [one], targets: [target('running', '1.0.0', one, { digest: 'sha256:00' })] },
    plans: ['mount app:1.0.0, waits: app:1.0.0 is not known to have sha256:00'],
  },
  'what is mounted and wanted stays': {
    sees: { packages: [one], mounts: [mountOf('1.0.0')], targets: [target('mounted', '1.0.0', one)] },
    plans: [],
  },
  'what is mounted stays when its package vanishes': {
    sees: { mounts: [mountOf('1.0.0')], targets: [target('running', '1.0.0', null)] },
    plans: [],
  },
  'the new image is mounted before the old one goes, which is still in use': {
    sees: {
      packages: [two, one],
      mounts: [mountOf('1.0.0')],
      attempts: [attempt(7, '1.0.0')],
      targets: [target('running', '2.0.0', two)],
    },
    plans: ['mount app:2.0.0', 'umount app:1.0.0, waits: in use by attempt 7'],
  },
  'the old image goes when the last attempt of it has ended': {
    sees: {
      packages: [two, one],
      mounts: [mountOf('1.0.0'), mountOf('2.0.0')],
      attempts: [attempt(7, '1.0.0', 'exited'), attempt(8, '2.0.0')],
      targets: [target('running', '2.0.0', two)],
    },
    plans: ['umount app:1.0.0'],
  },
  'a prepared attempt uses its image': {
    sees: { packages: [one], mounts: [mountOf('1.0.0')], attempts: [attempt(7, '1.0.0', 'prepared')] },
    plans: ['umount app:1.0.0, waits: in use by attempt 7'],
  },
  'an attempt uses the images that its record names': {
    sees: { mounts: [mountOf('1.0.0')], attempts: [attempt(7, '2.0.0', 'running', ['app:1.0.0'])] },
    plans: ['umount app:1.0.0, waits: in use by attempt 7'],
  },
  'an image that others still use is not unmounted, and they are named': {
    sees: { mounts: [mountOf('1.0.0')], usedBy: new Map([['1.0.0', ['one', 'other']]]) },
    plans: ['umount app:1.0.0, waits: in use by one, other'],
  },
  'everything that is unused is unmounted when the runtime ends': {
    sees: { packages: [one], stopping: true, mounts: [mountOf('1.0.0')], targets: [target('running', '1.0.0', one)] },
    plans: ['umount app:1.0.0'],
  },
  'an unused image of a file that was replaced is mounted anew': {
    sees: {
      packages: [one],
      mounts: [mountOf('1.0.0', { backing: { dev: 1, ino: 99 } })],
      targets: [target('mounted', '1.0.0', one)],
    },
    plans: ['umount app:1.0.0', 'mount app:1.0.0, waits: an older file is still mounted'],
  },
  'an image whose file was written to stays as it is, for all to see, also when nothing uses it': {
    sees: {
      packages: [one],
      mounts: [mountOf('1.0.0', { integrity: 'written' })],
      targets: [target('running', '1.0.0', one)],
    },
    plans: [],
  },
  'an image whose file was written to goes when another file has taken its place': {
    sees: {
      packages: [one],
      mounts: [mountOf('1.0.0', { integrity: 'written', backing: { dev: 1, ino: 99 } })],
      targets: [target('running', '1.0.0', one)],
    },
    plans: ['umount app:1.0.0', 'mount app:1.0.0, waits: an older file is still mounted'],
  },
  'an image whose file was written to goes when nobody wants it mounted': {
    sees: {
      packages: [one],
      mounts: [mountOf('1.0.0', { integrity: 'written' })],
      targets: [target('installed', '1.0.0', one)],
    },
    plans: ['umount app:1.0.0'],
  },
  'an image with corrupted blocks stays: whoever reads them is told': {
    sees: {
      packages: [one],
      mounts: [mountOf('1.0.0', { integrity: 'corrupted' })],
      attempts: [attempt(7, '1.0.0')],
      targets: [target('running', '1.0.0', one)],
    },
    plans: [],
  },
  'a running container keeps the image of a file that was replaced': {
    sees: {
      packages: [one],
      mounts: [mountOf('1.0.0', { backing: { dev: 1, ino: 99 } })],
      attempts: [attempt(7, '1.0.0')],
      targets: [target('running', '1.0.0', one)],
    },
    plans: [],
  },
};

const text = (step: MountsStep): string => `${step.op} ${step.id}`;

for (const [name, { sees, plans }] of Object.entries(cases)) {
  test(name, () => assert.deepEqual(lines(planMounts(view(sees)), text), plans));
}

test('a mount says where the image lies and which bytes the file must still have', () => {
  const [step] = planMounts(view({ packages: [one], targets: [target('mounted', '1.0.0', one)] }));
  assert.deepEqual(step?.op === 'mount' && step.image, {
    path: '/system/app:1.0.0.npk',
    offset: 4096,
    size: 8192,
    type: 'squashfs',
    identity: one.identity,
    integrity: 'none',
    tree: null,
    repository: 'system',
    devices: false,
    context: null,
  });
});

test('device nodes of an image work only where the manifest has a dev mount', () => {
  const manifest = { ...one.manifest, mounts: new Map([['/dev', { type: 'dev' as const }]]) };
  const found = packageOf('1.0.0', { manifest });
  const [step] = planMounts(view({ packages: [found], targets: [target('mounted', '1.0.0', found)] }));
  assert.equal(step?.op === 'mount' && step.image?.devices, true);
});
