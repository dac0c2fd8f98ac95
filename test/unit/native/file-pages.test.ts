import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cleanMappings, releaseFilePages } from '../../../native/file-pages.ts';

interface Fields {
  readonly resident?: number;
  readonly anonymous?: number;
  readonly dirty?: number;
  readonly locked?: number;
}

/** A mapping as proc_pid_smaps(5) has it, the fields that matter among others. */
function mapping(head: string, { resident = 64, anonymous = 0, dirty = 0, locked = 0 }: Fields = {}): string {
  return `${head}
Size:                128 kB
Rss:             ${String(resident).padStart(7)} kB
Pss:                   1 kB
Private_Clean:         0 kB
Private_Dirty:   ${String(dirty).padStart(7)} kB
Anonymous:       ${String(anonymous).padStart(7)} kB
Swap:                  0 kB
Locked:          ${String(locked).padStart(7)} kB
VmFlags: rd mr mw me
`;
}

test('only what is private, of a file, not writable and as it is there is let go of', () => {
  const file = '08:01 4711                      /usr/bin/node';
  const smaps = [
    mapping(`00400000-00420000 r--p 00000000 ${file}`),
    mapping(`7f0000000000-7f0000020000 r-xp 00020000 ${file}`, { resident: 8 }),
    mapping(`7f0000020000-7f0000040000 r--p 00040000 ${file}`, { anonymous: 4 }),
    mapping(`7f0000040000-7f0000060000 r--p 00060000 ${file}`, { dirty: 4 }),
    mapping(`7f0000060000-7f0000080000 r--p 00080000 ${file}`, { locked: 64 }),
    mapping(`7f0000080000-7f00000a0000 r--p 000a0000 ${file}`, { resident: 0 }),
    mapping(`7f00000a0000-7f00000c0000 rw-p 000c0000 ${file}`),
    mapping(`7f00000c0000-7f00000e0000 r--s 000e0000 ${file}`),
    mapping(`7f00000e0000-7f0000100000 rwxp 00000000 00:00 0`),
    mapping(`7f0000100000-7f0000120000 r-xp 00000000 00:00 0                          [vdso]`),
  ].join('');
  assert.deepEqual(cleanMappings(smaps), [
    { begin: 0x400000, end: 0x420000, resident: 65536 },
    { begin: 0x7f0000000000, end: 0x7f0000020000, resident: 8192 },
  ]);
  assert.deepEqual(cleanMappings(''), []);
});

test('a process that lets go of the pages of its program has less in memory, and runs on', () => {
  const before = process.memoryUsage.rss();
  const released = releaseFilePages();
  assert.ok(released > 8 << 20, `${released} bytes were let go of`);
  assert.ok(process.memoryUsage.rss() < before - released / 2);
  assert.deepEqual([1, 2, 3].toReversed(), [3, 2, 1]);
});
