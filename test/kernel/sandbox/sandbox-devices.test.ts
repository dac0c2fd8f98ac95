import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openDevices } from '../../../controllers/sandbox/sandbox-devices.ts';
import { deviceNodes } from '../../../state/names.ts';

/** Whether the /dev of an image is taken as it is; `change` is what it has besides, or lacks. */
function isTaken(change: (dev: string) => void): boolean {
  const image = mkdtempSync(join(tmpdir(), 'northstate-image-'));
  try {
    const dev = join(image, 'dev');
    mkdirSync(dev);
    for (const [name, major, minor] of deviceNodes) node(dev, name, 'c', major, minor);
    change(dev);
    const fd = openDevices(image, '/dev');
    if (fd !== null) closeSync(fd);
    return fd !== null;
  } finally {
    rmSync(image, { recursive: true });
  }
}

function node(directory: string, name: string, kind: 'b' | 'c', major: number, minor: number): void {
  execFileSync('mknod', [join(directory, name), kind, `${major}`, `${minor}`]);
}

test('takes the nodes of an image when they are the usual ones', () => {
  assert.ok(isTaken(() => undefined));
  assert.ok(
    isTaken((dev) => {
      symlinkSync('/proc/self/fd', join(dev, 'fd'));
      mkdirSync(join(dev, 'shm'));
    }),
  );
});

const others: readonly (readonly [string, (dev: string) => void])[] = [
  ['lacks one', (dev) => rmSync(join(dev, 'urandom'))],
  ['has a disk', (dev) => node(dev, 'sda', 'b', 8, 0)],
  ['has another device', (dev) => node(dev, 'mem', 'c', 1, 1)],
  [
    'has another device under a usual name',
    (dev) => {
      rmSync(join(dev, 'null'));
      node(dev, 'null', 'c', 1, 1);
    },
  ],
  [
    'has a directory with a node in it',
    (dev) => {
      mkdirSync(join(dev, 'disks'));
      node(join(dev, 'disks'), 'sda', 'b', 8, 0);
    },
  ],
  [
    'is a link out of it',
    (dev) => {
      rmSync(dev, { recursive: true });
      symlinkSync('/dev', dev);
    },
  ],
];
for (const [what, change] of others) {
  test(`takes no node of an image whose /dev ${what}`, () => {
    assert.equal(isTaken(change), false);
  });
}
