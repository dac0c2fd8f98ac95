import assert from 'node:assert/strict';
import { closeSync } from 'node:fs';
import { test } from 'node:test';
import { createKeptFile, openKeptFile } from '../../../../src/console/server/kept-file.ts';
import { createPace } from '../../../../src/console/server/pace.ts';

test('what a connection has used up of its requests a second stays used up in the next process', async () => {
  const perSecond = 20;
  // It stands still: nothing is earned by waiting.
  const clock = (): number => 1_000_000;
  const who = { identity: 'extern:0.0.0', permissions: 'full', listener: 'unix:///console' } as const;
  const { fd, conversation, save } = createKeptFile(who);
  try {
    const pace = createPace(perSecond, conversation, clock);
    for (let request = 0; request < perSecond; request += 1) await pace();
    save();
    for (let life = 1; life <= 4; life += 1) {
      const next = openKeptFile(fd);
      const asked = performance.now();
      await createPace(perSecond, next.conversation, clock)();
      const waited = performance.now() - asked;
      // A timer may be a millisecond early by this clock.
      assert.ok(waited >= (life * 1000) / perSecond - 2, `process ${life} let it through after ${waited} ms`);
      next.save();
    }
  } finally {
    closeSync(fd);
  }
});
