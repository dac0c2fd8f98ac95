// What the requests that are ours answer, on the wire.
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type { Operation } from 'fast-json-patch';
import type { Permissions } from '../../../../src/console/protocol/permissions.ts';
import { RuntimeError } from '../../../../src/runtime/runtime.ts';
import { DocumentConflict } from '../../../../state/document/documents.ts';
import { PatchError, toTree } from '../../../../state/text/tree.ts';
import { fakeRuntime, type FakeRuntime } from '../../../support/console/fake-runtime.ts';
import { connectRaw, openTestConsole, type RawClient } from '../../../support/console/scratch.ts';

const broker = { manifest: { name: 'broker', version: '1.2.3', init: '/app' }, repository: 'system' };
const stopIt: Operation = { op: 'replace', path: '/containers/broker/state', value: 'mounted' };

async function opened(context: TestContext, permissions: Permissions = 'full') {
  const runtime = fakeRuntime({ packages: [broker] });
  runtime.tree = toTree({ containers: { broker: { state: 'running', env: { TOKEN: 'x' } } } });
  const client = await connectRaw(context, await openTestConsole(context, runtime, { permissions }));
  const ask = async (request: unknown): Promise<unknown> => {
    client.send({ request });
    return ((await client.next()) as { response: unknown }).response;
  };
  return { runtime, client, ask };
}

test('a dry run of apply answers with the steps and the generation in force', async (context) => {
  const { ask, runtime } = await opened(context);
  const answer = await ask({ apply: { document: 'x', expected: 1, dry_run: true } });
  const steps = [{ op: 'start', name: 'broker', text: 'start broker anew', waits: null }];
  assert.deepEqual(answer, { apply: { ok: { generation: 2, findings: [], steps } } });
  assert.deepEqual(runtime.calls, [{ apply: 'x', expected: 1, origin: 'extern:0.0.0', dryRun: true }]);
});

test('a patch is operations of RFC 6902, or a merge patch that becomes such', async (context) => {
  const { ask, runtime } = await opened(context);
  const options = { expected: null, origin: 'extern:0.0.0', lifetime: 'document' };
  assert.deepEqual(await ask({ patch: { operations: [stopIt] } }), { patch: { ok: { generation: 2 } } });
  const merge = { containers: { broker: { state: 'mounted', env: null } } };
  await ask({ patch: { merge, expected: 7, lifetime: 'boot' } });
  const made = [
    { op: 'add', path: '/containers/broker/state', value: 'mounted' },
    { op: 'remove', path: '/containers/broker/env' },
  ];
  assert.deepEqual(runtime.calls, [
    { patch: [stopIt], ...options },
    { patch: made, ...options, expected: 7, lifetime: 'boot' },
  ]);
  for (const body of [{}, { operations: [stopIt], merge }]) {
    assert.match(JSON.stringify(await ask({ patch: body })), /invalid_arguments.*either operations or merge/);
  }
});

test('a patch that lost a race is a conflict that names both generations, one that does not fit says where', async (context) => {
  const { ask, runtime } = await opened(context);
  runtime.failure = new DocumentConflict(9, 'generation 7 was expected', 7);
  const message = runtime.failure.message;
  assert.deepEqual(await ask({ patch: { operations: [stopIt], expected: 7 } }), {
    patch: { error: { error: { conflict: { generation: 9, expected: 7, message } } } },
  });
  runtime.failure = new PatchError(0, '/containers/none', 'there is no "none"');
  assert.match(JSON.stringify(await ask({ patch: { operations: [stopIt] } })), /patch_refused.*\/containers\/none/);
});

test('a patch is permitted by what it changes', async (context) => {
  const { ask, runtime } = await opened(context, ['kill']);
  assert.deepEqual(await ask({ patch: { operations: [stopIt] } }), { patch: { ok: { generation: 2 } } });
  const forbidden = [
    { operations: [{ ...stopIt, value: 'running' }] },
    { operations: [stopIt, { op: 'add', path: '/repositories/r', value: {} }] },
    { operations: [{ op: 'test', path: '/containers/broker/env/TOKEN', value: 'x' }] },
    // What a merge patch amounts to tells what stands there.
    { merge: { containers: { broker: { env: { TOKEN: 'x' } } } } },
    { operations: [] },
  ];
  for (const body of forbidden) {
    const patch = { ...body, expected: null };
    assert.deepEqual(await ask({ patch: body }), { permission_denied: { patch } }, JSON.stringify(body));
  }
  assert.equal(runtime.calls.length, 1);
});

test('get shows the status, what is desired with its origins, what is observed, and one container of it', async (context) => {
  const { ask } = await opened(context);
  const { get: whole } = (await ask('get')) as { get: { ok: Record<string, unknown> } };
  assert.deepEqual(Object.keys(whole.ok), ['boot', 'sequence', 'generation', 'status']);
  const { get: desired } = (await ask({ get: { what: 'desired' } })) as { get: { ok: Record<string, unknown> } };
  assert.deepEqual(desired.ok['desired'], { containers: { broker: { state: 'running', env: { TOKEN: 'x' } } } });
  assert.deepEqual(desired.ok['origins'], [
    { pointer: '/containers/broker/state', lifetime: 'document', origin: 'person', generation: 1 },
    { pointer: '/containers/broker/env/TOKEN', lifetime: 'document', origin: 'person', generation: 1 },
  ]);
  const { get: observed } = (await ask({ get: { what: 'observed', container: 'broker' } })) as {
    get: { ok: { observed: Record<string, unknown> } };
  };
  assert.deepEqual(Object.keys(observed.ok.observed), [
    ...['repositories', 'packages', 'mounts', 'cgroups', 'attempts', 'ran', 'schedules', 'kept'],
  ]);
  assert.match(JSON.stringify(await ask({ get: { what: 'status', container: 'none' } })), /unknown_name/);
});

function converge(runtime: FakeRuntime, value: boolean): Operation {
  const operation = { op: 'replace', path: '/converged', value } as const;
  runtime.change([operation], { ...runtime.state().status, converged: value });
  return operation;
}

/** Numbers begin at 1 and four changes are kept. */
async function watchFrom(client: RawClient, since: number, boot: string | null): Promise<Record<string, unknown>> {
  client.send({ request: { watch: { since, boot } } });
  return ((await client.next()) as { response: { watch: { ok: Record<string, unknown> } } }).response.watch.ok;
}

test('a watcher goes on from the number that it has seen, or is told of the gap', async (context) => {
  const { runtime, client } = await opened(context);
  for (let count = 0; count < 6; count++) converge(runtime, count % 2 === 0);
  const resumed = await watchFrom(client, 5, 'this-boot');
  const missed = [{ sequence: 6, operations: [{ op: 'replace', path: '/converged', value: false }] }];
  assert.deepEqual(resumed, { boot: 'this-boot', sequence: 6, gap: null, status: null, missed });
  assert.deepEqual((await watchFrom(client, 6, 'this-boot'))['missed'], []);
  for (const [since, boot] of [
    [1, 'this-boot'],
    [7, 'this-boot'],
    [5, 'boot-before'],
  ] as const) {
    const told = await watchFrom(client, since, boot);
    assert.deepEqual(told['gap'], { since, boot, oldest: 3 });
    assert.notEqual(told['status'], null);
  }
});

test('events have a number, the boot and both clocks, and are followed from a number on', async (context) => {
  const { runtime, ask, client } = await opened(context);
  for (let count = 0; count < 6; count++) runtime.emit({ type: 'started', container: `c-${count}:1.0.0` });
  const stamp = { monotonic: 1000, time: '2026-01-01T00:00:00.000Z', boot: 'this-boot' };
  const { events } = (await ask({ events: { since: 5, boot: null, follow: true } })) as { events: unknown };
  const missed = [{ sequence: 6, ...stamp, event: { started: 'c-5:1.0.0' } }];
  assert.deepEqual(events, { ok: { boot: 'this-boot', sequence: 6, gap: null, events: missed } });
  runtime.emit({ type: 'exit', container: 'c-5:1.0.0', exit: { code: 1 } });
  const event = { exit: ['c-5:1.0.0', { exit: { code: 1 } }] };
  assert.deepEqual(await client.next(), { notification: { event: { sequence: 7, ...stamp, event } } });
  const late = JSON.stringify(await ask({ events: { since: 1, boot: null } }));
  assert.match(late, /"gap":\{"since":1,"boot":"this-boot","oldest":4\}/);
});

test('a patch that lies too deep is refused as such', async (context) => {
  const { ask } = await opened(context);
  const merge = JSON.parse(`${'{"a":'.repeat(100)}1${'}'.repeat(100)}`) as unknown;
  assert.match(JSON.stringify(await ask({ patch: { merge } })), /"patch_refused":.*nested too deep/);
});

test('whatever patches says why it is not durable, as long as it is not', async (context) => {
  const [name, container] = ['broker', 'broker:1.2.3'];
  const requests: readonly [string, object][] = [
    ['mount', { containers: [container] }],
    ['umount', { containers: [container] }],
    ['start', { container, init: null, arguments: [], environment: {} }],
    ['pause', { name }],
    ['resume', { name }],
    ['restart', { name }],
    ['update', { name }],
    ['stop', { name }],
    ['kill', { container, signal: 15 }],
    ['uninstall', { container, wipe: false }],
    ['patch', { operations: [stopIt] }],
    ['apply', { document: 'x' }],
    ['rollback', { generation: 1 }],
    ['overlay_drop', { name: null }],
  ];
  for (const loss of ['ENOSPC: the disk is full', null]) {
    const { runtime, ask } = await opened(context);
    runtime.loss = loss;
    for (const [request, body] of requests) {
      const { [request]: answer } = (await ask({ [request]: body })) as Record<string, unknown>;
      const [outcome] = [answer].flat() as [{ ok?: { not_durable?: string } }];
      assert.ok(outcome.ok, `${request}: ${JSON.stringify(outcome)}`);
      assert.equal(outcome.ok.not_durable ?? null, loss, request);
    }
  }
});

test('explain, rollback and logs of another boot answer in their own shapes', async (context) => {
  const { runtime, ask } = await opened(context);
  assert.deepEqual(await ask({ explain: { name: 'broker' } }), {
    explain: { ok: { name: 'broker', unmet: null, schedule: null, overlay: [], files: [], staged: null } },
  });
  const unmet = { container: 'broker', unmet: 'Running', reason: 'NotInstalled', message: '', because: [] };
  runtime.unmet.set('broker', unmet);
  const explained = {
    explain: { ok: { name: 'broker', unmet, schedule: null, overlay: [], files: [], staged: null } },
  };
  assert.deepEqual(await ask({ explain: { name: 'broker:1.2.3' } }), explained);
  assert.deepEqual(await ask({ overlay_drop: { name: null } }), {
    overlay_drop: { ok: { generation: 3, dropped: [] } },
  });
  assert.deepEqual(runtime.calls.pop(), { what: 'dropOverlay', name: null });
  assert.deepEqual(await ask({ rollback: { generation: 1 } }), { rollback: { ok: { generation: 2 } } });
  assert.deepEqual(runtime.calls, [{ rollback: 1, expected: null, origin: 'extern:0.0.0' }]);
  const other = { name: 'broker', since: null, follow: false, boot: 'another' };
  assert.match(JSON.stringify(await ask({ logs: other })), /unknown_boot.*"boot":"this-boot"/);
});

test('a report comes in pieces, with its size at the end, or with what went wrong', async (context) => {
  const { runtime, ask, client } = await opened(context);
  runtime.archive = [Buffer.from('PK'), Buffer.from('rest')];
  assert.match(JSON.stringify(await ask('report')), /"name":"northstate-report-[\dT-]+Z\.zip"/);
  assert.deepEqual(await client.next(), { notification: { report: { data: 'UEs=' } } });
  assert.deepEqual(await client.next(), { notification: { report: { data: 'cmVzdA==' } } });
  assert.deepEqual(await client.next(), { notification: { report_end: { size: 6, error: null } } });
  runtime.report = () => {
    throw new RuntimeError('busy', 'a report is being made already');
  };
  await ask('report');
  const error = { busy: { message: 'a report is being made already' } };
  assert.deepEqual(await client.next(), { notification: { report_end: { size: 0, error } } });
});
