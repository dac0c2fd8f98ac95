import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exitText, signalName, signals } from '../../../state/signals.ts';

test('every signal from 1 to 31 has one name, and the numbers of all names are known', () => {
  const names = Array.from({ length: 31 }, (_, index) => signalName(index + 1));
  assert.equal(new Set(names).size, 31);
  assert.deepEqual(
    names.map((name) => signals.get(name.replace(/^SIG/, ''))),
    names.map((_, index) => index + 1),
  );
  assert.deepEqual(
    [signalName(6), signalName(9), signalName(29), signalName(31)],
    'SIGABRT SIGKILL SIGIO SIGSYS'.split(' '),
  );
  assert.equal(signalName(40), 'signal 40');
});

test('an end is told in words', () => {
  assert.equal(exitText({ code: 3 }), 'exit code 3');
  assert.equal(exitText({ signal: 9 }), 'SIGKILL');
  assert.equal(exitText({ signal: 9 }, 2), 'SIGKILL, out of memory');
  assert.equal(exitText({ signal: 31, syscall: 'mount' }), 'SIGSYS (its filter does not allow mount)');
  assert.equal(exitText(null), 'an unknown status');
});
