import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseMountTable } from '../../../native/mounts-table.ts';

test('a line of the mount table is read, with and without optional fields', () => {
  const [one, other] = parseMountTable(
    '42 27 7:3 / /run/n/mounts/app:1.0.0 ro,nosuid - squashfs /dev/loop3 ro,errors=continue\n' +
      '43 27 0:5 /sub /dev rw shared:7 master:2 - devtmpfs devtmpfs rw\n',
  );
  assert.deepEqual(one, {
    mountId: 42,
    major: 7,
    minor: 3,
    root: '/',
    target: '/run/n/mounts/app:1.0.0',
    type: 'squashfs',
    source: '/dev/loop3',
    options: ['ro', 'errors=continue'],
  });
  assert.deepEqual([other?.root, other?.type, other?.target], ['/sub', 'devtmpfs', '/dev']);
});

test('blanks, tabs, newlines and backslashes in paths are decoded', () => {
  const [entry] = parseMountTable('1 2 0:1 / /a\\040b\\011c\\012d\\134e rw - tmpfs none rw\n');
  assert.equal(entry?.target, '/a b\tc\nd\\e');
});

test('an empty table has no entries, a line that is none is an error', () => {
  assert.deepEqual(parseMountTable(''), []);
  assert.throws(() => parseMountTable('1 2 0:1 / /a rw tmpfs none rw\n'), /unexpected line: 1 2 0:1/);
});
