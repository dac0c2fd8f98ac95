// The log as the journal has it.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createJournalWriter, entryOf, isJournal, renderEntry } from '../../../src/logs/journal-log.ts';
import { bindSocket } from '../../../native/unix-socket.ts';
import { closeSync, readSync } from 'node:fs';

test("a container's line is the message, and its fields find it", () => {
  const line = {
    level: 30,
    time: 'x',
    container: 'broker',
    target: 'broker:1.2.3',
    stream: 'stderr',
    line: 'up',
    msg: 'container output',
  };
  assert.deepEqual(Object.fromEntries(entryOf(line)), {
    SYSLOG_IDENTIFIER: 'northstate',
    PRIORITY: '6',
    CONTAINER: 'broker',
    VERSION: '1.2.3',
    STREAM: 'stderr',
    MESSAGE: 'up',
  });
});

test('an event has an identity of its own, its fields, and what people read', () => {
  const event = (container: string) =>
    Object.fromEntries(
      entryOf({ level: 50, container, 'exit-code': 3, err: { message: 'gone' }, msg: 'container failed' }),
    );
  const entry = event('broker');
  assert.deepEqual(
    { ...entry, MESSAGE_ID: '' },
    {
      SYSLOG_IDENTIFIER: 'northstate',
      PRIORITY: '3',
      CONTAINER: 'broker',
      NORTHSTATE_CONTAINER: 'broker',
      NORTHSTATE_EXIT_CODE: '3',
      NORTHSTATE_ERROR: 'gone',
      MESSAGE: 'container failed container=broker exit-code=3 error=gone',
      MESSAGE_ID: '',
    },
  );
  assert.match(entry['MESSAGE_ID'] ?? '', /^[0-9a-f]{32}$/);
  assert.equal(entry['MESSAGE_ID'], event('other')['MESSAGE_ID']);
});

test('a value with a line break cannot make a field', () => {
  const bytes = renderEntry(new Map([['MESSAGE', 'a\nCONTAINER=other']]));
  assert.deepEqual(bytes, Buffer.from('MESSAGE\n\x11\0\0\0\0\0\0\0a\nCONTAINER=other\n', 'latin1'));
});

test('entries go to the socket, and what finds none is not lost in silence', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'northstate-journal-'));
  try {
    const path = join(directory, 'socket');
    const write = createJournalWriter(path);
    const line = JSON.stringify({ level: 30, msg: 'up' });
    assert.equal(write(line), false);
    const socket = bindSocket('datagram', path, false);
    assert.equal(write(line), true);
    const bytes = Buffer.alloc(4096);
    const text = bytes.toString('utf8', 0, readSync(socket, bytes));
    assert.match(text, /^SYSLOG_IDENTIFIER=northstate\nPRIORITY=6\nMESSAGE=up\nMESSAGE_ID=[0-9a-f]{32}\n$/);
    closeSync(socket);
  } finally {
    await rm(directory, { recursive: true });
  }
});

test('stderr is the journal when systemd says so of this very stream', () => {
  assert.ok(isJournal('8:42', { dev: 8, ino: 42 }));
  assert.ok(!isJournal('8:43', { dev: 8, ino: 42 }) && !isJournal(undefined, { dev: 8, ino: 42 }));
});
