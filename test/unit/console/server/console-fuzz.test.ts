// Hostile bytes: whatever a client says, it is answered in the protocol's shapes or hung up on, and nobody else notices.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { Malformed, parseMessage } from '../../../../src/console/protocol/json.ts';
import { readConnect, readRequest, requestMessage, requestNames } from '../../../../src/console/protocol/protocol.ts';
import { fakeRuntime } from '../../../support/console/fake-runtime.ts';
import { requestOf, samples } from '../../../support/console/samples.ts';
import { connectRaw, openTestConsole } from '../../../support/console/scratch.ts';

/** One seed is one exact run. */
const seed = 20_261_122;

const hello = { connect: { version: '0.9.2', subscribe_notifications: true } };
const messages = [hello, ...requestNames.map((name) => requestOf(name, samples[name]))];

/** A value with one part of it replaced, removed or added, at any depth. */
function mutated(value: unknown): fc.Arbitrary<unknown> {
  const other = fc.oneof(
    fc.jsonValue({ maxDepth: 2 }),
    fc.constantFrom('', '\0', -1, 2 ** 53, 1e308, 'x'.repeat(5000)),
  );
  if (typeof value !== 'object' || value === null) return other;
  const keys = Object.keys(value);
  const at = (key: string) => (value as Readonly<Record<string, unknown>>)[key];
  const deeper = keys.map((key) => mutated(at(key)).map((inner) => replaced(value, key, inner)));
  const without = keys.map((key) => fc.constant(replaced(value, key, undefined)));
  const added = fc
    .tuple(fc.oneof(fc.string(), fc.constant('__proto__')), other)
    .map(([key, inner]) => replaced(value, key, inner));
  return fc.oneof(other, added, ...deeper, ...without);
}

function replaced(value: object, key: string, inner: unknown): unknown {
  if (Array.isArray(value))
    return inner === undefined
      ? value.slice(1)
      : value.map((item, index) => (String(index) === key ? inner : (item as unknown)));
  const entries = Object.entries(value).filter(([name]) => name !== key);
  return Object.fromEntries(inner === undefined ? entries : [...entries, [key, inner]]);
}

/** Null: refused. Anything but a refusal as Malformed is an error of ours. */
function tolerant<T>(read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    assert.ok(error instanceof Malformed, String(error));
    return null;
  }
}

for (const name of requestNames) {
  test(`a ${name} of any other shape is refused as malformed, or is one that says the same when it is written again`, () => {
    const messageOf = mutated(requestOf(name, samples[name]));
    fc.assert(
      fc.property(messageOf, (message) => {
        const request = tolerant(() => readRequest(parseMessage(JSON.stringify(message))));
        if (request === null) return;
        const again = readRequest(parseMessage(JSON.stringify({ request: requestMessage(request) })));
        assert.deepEqual(again, request);
      }),
      { seed, numRuns: 150 },
    );
  });
}

test('a connect of any other shape is refused as malformed, or has a version', () => {
  fc.assert(
    fc.property(mutated(hello), (message) => {
      const connect = tolerant(() => readConnect(parseMessage(JSON.stringify(message))));
      if (connect !== null) assert.match(connect.version, /^\d+\.\d+\.\d+$/);
    }),
    { seed, numRuns: 300 },
  );
});

test('text that is no JSON, or JSON of any kind, is refused as malformed at most', () => {
  const texts = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.json(),
    fc.json().map((text) => text.slice(0, -1)),
  );
  fc.assert(
    fc.property(texts, (text) => void tolerant(() => readRequest(parseMessage(text)))),
    { seed, numRuns: 500 },
  );
});

/** A session that somebody has cut, repeated, flipped bits in, and sent in pieces. */
const sessions = fc
  .record({
    said: fc.array(fc.constantFrom(...messages), { maxLength: 12 }),
    flips: fc.array(fc.record({ at: fc.nat(), bit: fc.nat(7) }), { maxLength: 4 }),
    noise: fc.uint8Array({ maxLength: 40 }),
    noiseAt: fc.nat(),
    cut: fc.nat(),
    pieces: fc.array(fc.nat(200), { maxLength: 8 }),
    isGreeted: fc.boolean(),
  })
  .map(({ said, flips, noise, noiseAt, cut, pieces, isGreeted }) => {
    const text = [...(isGreeted ? [hello] : []), ...said].map((message) => `${JSON.stringify(message)}\n`).join('');
    const bytes = Buffer.from(text);
    for (const { at, bit } of flips) if (bytes.length > 0) bytes[at % bytes.length]! ^= 1 << bit;
    const at = noiseAt % (bytes.length + 1);
    const whole = Buffer.concat([bytes.subarray(0, at), noise, bytes.subarray(at)]);
    return { bytes: cut % 3 === 0 ? whole.subarray(0, cut % (whole.length + 1)) : whole, pieces };
  });

test('whatever bytes come, the answers are lines of the protocol, the connection ends, and the next client is served', async (context) => {
  const broker = { manifest: { name: 'broker', version: '1.2.3', init: '/app' }, repository: 'system' };
  const runtime = fakeRuntime({ packages: [broker] });
  const url = await openTestConsole(context, runtime, { limits: { requestsPerSecond: 1_000_000, installStall: 50 } });
  await fc.assert(
    fc.asyncProperty(sessions, async ({ bytes, pieces }) => {
      const socket = connect(url.slice('unix://'.length));
      socket.on('error', () => undefined);
      const heard = socket.toArray().catch(() => []) as Promise<Buffer[]>;
      const ended = once(socket, 'close');
      let sent = 0;
      for (const size of pieces) {
        socket.write(bytes.subarray(sent, sent + size));
        sent += size;
      }
      socket.end(bytes.subarray(sent));
      await ended;
      const lines = Buffer.concat(await heard)
        .toString()
        .split('\n')
        .slice(0, -1);
      for (const line of lines) {
        const [kind = ''] = Object.keys(JSON.parse(line) as object);
        assert.ok(['connect_ack', 'connect_nack', 'response', 'notification'].includes(kind), line);
      }
    }),
    { seed, numRuns: 200 },
  );
  const client = await connectRaw(context, url);
  client.send({ request: 'ident' });
  assert.deepEqual(await client.next(), { response: { ident: 'extern:0.0.0' } });
});
