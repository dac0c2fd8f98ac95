import assert from 'node:assert/strict';
import { test } from 'node:test';
import { unseen } from '../../../controllers/containers/containers-act.ts';
import { execute, type CommandPorts } from '../../../src/runtime/commands.ts';
import type { PatchOptions } from '../../../state/document/patches.ts';
import { createStore } from '../../../state/store.ts';
import { record } from '../../support/console/fake-state.ts';

const command = { type: 'kill', container: 'app:1.0.0', signal: 15 } as const;
const options = { lifetime: 'boot', origin: 'extern:0.0.0', timeout: 1000 } as const;

/** A runtime with one container that runs, and what has happened in it; `patch` is the document's. */
function runtime(patch: (given: PatchOptions) => Promise<{ generation: number; durable: Promise<null> }>) {
  const happened: string[] = [];
  const store = createStore();
  const running = { ...unseen, id: 1, name: 'app', version: '1.0.0', hash: '', record, preparedAt: 1 };
  store.observe('attempts', 'app', [{ ...running, state: 'running' }]);
  const ports = {
    store,
    documents: { patch: (_: unknown, given: PatchOptions) => patch(given) },
    signalExactly: () => Promise.resolve(void happened.push('signal')),
    observe: ({ record: { stop } }) => void happened.push(stop === null ? 'observed' : 'observed as told to stop'),
  } as Pick<CommandPorts, 'store' | 'signalExactly' | 'observe'> as CommandPorts;
  return { happened, ports };
}

test('a kill signals before its wish is in force, and is answered when that is durable', async () => {
  const durable = Promise.withResolvers<null>();
  const { happened, ports } = runtime((given) => {
    given.begins?.();
    happened.push('in force');
    return Promise.resolve({ generation: 1, durable: durable.promise });
  });
  const answered = execute(command, options, ports).then(() => happened.push('answered'));
  await new Promise(setImmediate);
  assert.deepEqual(happened, ['signal', 'observed as told to stop', 'in force']);
  durable.resolve(null);
  await answered;
  assert.equal(happened.at(-1), 'answered');
});

test('a kill whose patch is refused signals nothing', async () => {
  const { happened, ports } = runtime(() => Promise.reject(new Error('refused')));
  await assert.rejects(execute(command, options, ports), /refused/);
  assert.deepEqual(happened, []);
});
