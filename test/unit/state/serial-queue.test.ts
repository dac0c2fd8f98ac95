// Tasks one after the other.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSerialQueue, createSerialQueues } from '../../../state/serial-queue.ts';

test('a task begins when the one before is over, also when that has failed', async () => {
  const { run, idle } = createSerialQueue();
  const order: string[] = [];
  const first = Promise.withResolvers<void>();
  const failed = run(async () => {
    order.push('first');
    await first.promise;
    throw new Error('first fails');
  });
  const second = run(() => order.push('second'));
  await new Promise(setImmediate);
  assert.deepEqual(order, ['first']);
  first.resolve();
  await assert.rejects(failed, /first fails/);
  assert.equal(await second, 2);
  await idle();
  assert.deepEqual(order, ['first', 'second']);
});

test('tasks of different names do not wait for each other', async () => {
  const { run } = createSerialQueues();
  const held = Promise.withResolvers<void>();
  const order: string[] = [];
  const tasks = [
    run('a', async () => {
      await held.promise;
      order.push('a1');
    }),
    run('a', async () => void order.push('a2')),
    run('b', async () => void order.push('b')),
  ];
  await tasks[2];
  assert.deepEqual(order, ['b']);
  held.resolve();
  await Promise.all(tasks);
  assert.deepEqual(order, ['b', 'a1', 'a2']);
});
