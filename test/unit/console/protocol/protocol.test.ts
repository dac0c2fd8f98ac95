import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { Malformed, parseMessage } from '../../../../src/console/protocol/json.ts';
import { allows, permissionNames, type Permission } from '../../../../src/console/protocol/permissions.ts';
import {
  isServed,
  messageSchema,
  readConnect,
  readRequest,
  requestMessage,
  requestNames,
} from '../../../../src/console/protocol/protocol.ts';

const start = { container: 'a:1.0.0', init: null, arguments: [], environment: {} };

test('a request is given back in the shape in which it was sent, without what is unknown', () => {
  const requests: [unknown, unknown][] = [
    ['list', 'list'],
    [{ list: null }, 'list'],
    [{ start: { ...start, colour: 1 } }, { start }],
    [{ kill: { container: 'a:1.0.0-rc.1+b', signal: -1 } }, { kill: { container: 'a:1.0.0', signal: -1 } }],
    [{ stop: { name: 'a', lifetime: 'boot' } }, { stop: { name: 'a', lifetime: 'boot' } }],
  ];
  for (const [sent, expected] of requests) {
    assert.deepEqual(requestMessage(readRequest({ request: sent, id: 1 })), expected);
  }
});

test('what is no request is refused', () => {
  const wrong = [
    'dance',
    'constructor',
    '__proto__',
    null,
    7,
    [],
    {},
    { list: {} },
    { list: null, ident: null },
    { inspect: { container: 'a' } },
    { inspect: { container: 'a:01.0.0' } },
    { inspect: { container: 'a/b:1.0.0' } },
    { install: { repository: 'r', size: -1 } },
    { install: { repository: 'r', size: 1.5 } },
    { start: { ...start, init: 'a\0b' } },
    { start: { ...start, environment: { A: 1 } } },
    { kill: { container: 'a:1.0.0', signal: 2 ** 31 } },
    { stop: { name: 'a', lifetime: 'forever' } },
    { token_verify: { token: 'AAAA', user: 'extern', shared: '' } },
  ];
  for (const request of wrong) {
    assert.throws(() => readRequest({ request }), Malformed, JSON.stringify(request));
  }
});

test('the first message says a version and whether notifications are wanted', () => {
  const connect = { version: '0.9.2-beta.1', subscribe_notifications: true };
  assert.deepEqual(readConnect({ connect }), { version: '0.9.2', subscribe: true });
  assert.throws(() => readConnect({ connect: { version: '0.9', subscribe_notifications: true } }), Malformed);
  assert.throws(() => readConnect({ connect: { version: '0.9.2' } }), Malformed);
  assert.throws(() => readConnect({ request: 'ident' }), Malformed);
});

test('versions from 0.9 on are served', () => {
  assert.deepEqual(['0.9.0', '0.10.0', '1.0.0', '10.0.0'].map(isServed), [true, true, true, true]);
  assert.deepEqual(['0.0.0', '0.8.9'].map(isServed), [false, false]);
});

test('a message that nests deeper than Northstar reads is refused', () => {
  const deep = (levels: number): string => `${'['.repeat(levels)}${']'.repeat(levels)}`;
  assert.throws(() => parseMessage(deep(129)), Malformed);
  assert.doesNotThrow(() => parseMessage(deep(128)));
});

test('a member that is given twice is refused, but for the names of a free map', () => {
  assert.throws(() => parseMessage('{"a":1,"a":2}'), Malformed);
  assert.throws(() => parseMessage('{"a":{"b":1,"\\u0062":2}}'), Malformed);
  assert.throws(() => parseMessage('{"request":{"kill":{"signal":1,"signal":2}}}'), Malformed);
  assert.deepEqual(parseMessage('{"a":{"b":{"c":{"d":1,"d":2}}}}'), { a: { b: { c: { d: 2 } } } });
  assert.deepEqual(parseMessage('[{"a":"x,\\"a\\":{"},{"a":2}]'), [{ a: 'x,"a":{' }, { a: 2 }]);
});

test('every JSON value is read as JSON.parse reads it', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = JSON.stringify(value);
      assert.deepEqual(parseMessage(text), JSON.parse(text));
    }),
  );
});

test('no text makes the reading of a message fail otherwise than as malformed', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
      try {
        readRequest(parseMessage(text));
      } catch (error) {
        assert.ok(error instanceof Malformed, String(error));
      }
    }),
  );
});

test('every request needs exactly its own permission', () => {
  const requests: [Permission, unknown][] = [
    ['list', 'list'],
    ['start', { start }],
    ['start_command', { start: { ...start, init: '/x' } }],
    ['start_command', { start: { ...start, arguments: ['x'] } }],
    ['start_command', { start: { ...start, environment: { A: 'b' } } }],
    ['token_verification', { token_verify: { token: Buffer.alloc(40).toString('base64'), user: 'u', shared: '' } }],
    ['apply', { apply: { document: '', expected: null } }],
  ];
  for (const [permission, message] of requests) {
    const request = readRequest({ request: message });
    assert.equal(allows([permission], request), true, permission);
    assert.equal(
      allows(
        permissionNames.filter((name) => name !== permission),
        request,
      ),
      false,
      permission,
    );
    assert.equal(allows('full', request), true);
    assert.equal(allows([], request), false);
  }
});

test('the JSON Schema of messages admits what the console takes, and nothing that it refuses by its shape', () => {
  const validate = new Ajv2020({ strict: false, formats: { base64: true } }).compile(messageSchema());
  const container = fc.constantFrom('a:1.0.0', 'a', 'a/b:1.0.0', 'a:1');
  const member = fc.oneof(
    fc.constantFrom<unknown>(null, true, '', 'boot', 'text', 0, -1, 1.5, [], ['x'], {}),
    container,
  );
  const shape = fc.dictionary(
    fc.constantFrom('container', 'containers', 'name', 'signal', 'lifetime', 'document', 'expected', 'since', 'follow'),
    member,
  );
  const request = fc.oneof(
    fc.constantFrom<unknown>(...requestNames),
    fc
      .tuple(fc.constantFrom<string>(...requestNames), fc.oneof(shape, member))
      .map(([name, body]) => ({ [name]: body })),
  );
  fc.assert(
    fc.property(request, (asked) => {
      const message = { request: asked };
      assert.equal(validate(message), isTaken(message), JSON.stringify([message, validate.errors]));
    }),
    { numRuns: 2000 },
  );
});

function isTaken(message: unknown): boolean {
  try {
    readRequest(message);
    return true;
  } catch (error) {
    if (error instanceof Malformed) return false;
    throw error;
  }
}
