import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { createDescriptors } from '../../../../controllers/sandbox/start-descriptors.ts';
import type { Manifest } from '../../../../state/schema/manifest.ts';

const socketDir = mkdtempSync(join(tmpdir(), 'northstate-sockets-'));
after(() => rmSync(socketDir, { recursive: true }));
const log = { warn: () => undefined };
const manifest: Manifest = {
  name: 'box',
  version: '1.2.3',
  init: '/app',
  uid: 1000,
  gid: 2000,
  console: { permissions: ['ident', 'list'] },
  sockets: new Map([['s', { type: 'stream', mode: 0o600 }]]),
};

test('gives the end of a console connection the number after those of the sockets', async () => {
  const asked: unknown[] = [];
  let closed = 0;
  const descriptors = createDescriptors({
    socketDir,
    log,
    console: async (...of) => {
      asked.push(of);
      return {
        fd: 42,
        close: () => {
          closed += 1;
        },
      };
    },
  });
  const { ops, environment, close } = await descriptors.open(manifest, 7);
  assert.deepEqual(asked, [['box:1.2.3', 7, ['ident', 'list']]]);
  assert.deepEqual(ops.slice(1), [{ op: 'descriptor', fd: 42, number: 4 }]);
  assert.deepEqual(Object.fromEntries(environment), { NORTHSTAR_SOCKET_s: '3', NORTHSTAR_CONSOLE: '4' });
  close();
  assert.equal(closed, 1);
});

test('leaves no socket behind when there is no console for it', async () => {
  const descriptors = createDescriptors({ socketDir, log, console: () => Promise.reject(new Error('no console')) });
  await assert.rejects(descriptors.open(manifest, 8), { message: 'no console' });
  assert.deepEqual(readdirSync(socketDir), []);
});

test('refuses more sockets than a start can bring', async () => {
  const sockets = new Map(Array.from({ length: 201 }, (_, n) => [`s${n}`, { type: 'stream', mode: 0o600 } as const]));
  const descriptors = createDescriptors({ socketDir, log, console: () => Promise.resolve(null) });
  await assert.rejects(descriptors.open({ ...manifest, sockets }, 9), {
    reason: 'StartFailed',
    message: 'box:1.2.3 has 201 sockets: more than 200',
  });
});
