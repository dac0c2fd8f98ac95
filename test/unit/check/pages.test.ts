import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Feature } from '../../../src/check/feature.ts';
import { kernelFragment } from '../../../src/check/kernel-fragment.ts';
import { pageFeatures } from '../../../src/check/pages.ts';

const said = (page: number, release: string): string[] =>
  pageFeatures(page, release).map(({ name, presence, detail }) => `${name}: ${presence}; ${detail}`);

test('pages of 4096 bytes ask for nothing, larger ones for blocks, and for a kernel that reads smaller ones of erofs', () => {
  assert.deepEqual(said(4096, '5.10.0'), ['memory pages: present; 4096 bytes']);
  assert.deepEqual(said(16384, '6.1.0-13-arm64'), [
    'memory pages: present; 16384 bytes: squashfs images need blocks of that size at least (--block-size)',
    'erofs with blocks of 4096 bytes: absent; erofs images cannot be mounted: this kernel has pages of 16384 bytes',
  ]);
  for (const release of ['6.8.0', '6.12.1-rpi', '7.0']) {
    assert.deepEqual(said(65536, release)[1], 'erofs with blocks of 4096 bytes: present; ');
  }
});

test('the fragment names each option once, whatever this kernel has, and none that asks for more than itself', () => {
  const feature = (name: string, enable: string | null): Feature => ({
    ...{ group: 'images', name, required: false, presence: 'present', detail: '', enable },
  });
  const features = [
    feature('loop devices', 'CONFIG_BLK_DEV_LOOP; as a module: modprobe loop'),
    feature('limits', 'CONFIG_CGROUPS, CONFIG_MEMCG'),
    feature('freezing', 'a cgroup v2 tree, or CONFIG_CGROUPS'),
    feature('tool', 'apt-get install tool'),
    feature('SELinux', 'CONFIG_SECURITY_SELINUX, and selinux=1 on the kernel command line'),
    feature('nothing', null),
  ];
  const lines = kernelFragment(features).split('\n');
  assert.deepEqual(lines.slice(lines.indexOf('# loop devices')), [
    ...['# loop devices', 'CONFIG_BLK_DEV_LOOP=y'],
    ...['# limits', 'CONFIG_CGROUPS=y', 'CONFIG_MEMCG=y', ''],
  ]);
  assert.ok(lines.includes('CONFIG_NAMESPACES=y'));
});
