// Every request with every single permission, on every kind of connection: allowed is what that permission is for, and
// nothing else.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test, type TestContext } from 'node:test';
import { socketChannel } from '../../../../src/console/server/channel.ts';
import { serveConnection } from '../../../../src/console/server/connection.ts';
import { openFeeds } from '../../../../src/console/server/feeds.ts';
import { createMemory } from '../../../../src/console/protocol/memory.ts';
import { permissionNames, type Permission, type Permissions } from '../../../../src/console/protocol/permissions.ts';
import { requestNames } from '../../../../src/console/protocol/protocol.ts';
import { permissions as northstarPermissions } from '../../../../state/names.ts';
import { toTree } from '../../../../state/text/tree.ts';
import { fakeRuntime } from '../../../support/console/fake-runtime.ts';
import { requestOf, samples } from '../../../support/console/samples.ts';
import { openTestConsole, scratchDirectory, silentLog, testTokens } from '../../../support/console/scratch.ts';
import { defaultLimits } from '../../../../src/console/protocol/console-limits.ts';

const broker = { manifest: { name: 'broker', version: '1.2.3', init: '/app' }, repository: 'system' };
const limits = { requestsPerSecond: 1_000_000 };

interface Case {
  readonly title: string;
  readonly message: { readonly request: unknown };
  /** Each of these will do. */
  readonly needs: readonly Permission[];
}

const start = { container: 'broker:1.2.3', init: null, arguments: [], environment: {} };
const special: readonly Case[] = [
  {
    title: 'a start of another program',
    message: requestOf('start', { ...start, init: '/sh' }),
    needs: ['start_command'],
  },
  {
    title: 'a start with arguments',
    message: requestOf('start', { ...start, arguments: ['-v'] }),
    needs: ['start_command'],
  },
  {
    title: 'a patch of a state',
    message: requestOf('patch', {
      operations: [{ op: 'add', path: '/containers/broker/state', value: 'running' }],
      expected: null,
    }),
    needs: ['start', 'patch'],
  },
  {
    title: 'a patch that mounts',
    message: requestOf('patch', {
      operations: [{ op: 'add', path: '/containers/broker/state', value: 'mounted' }],
      expected: null,
    }),
    needs: ['mount', 'patch'],
  },
  {
    title: 'a start with variables',
    message: requestOf('start', { ...start, environment: { A: 'b' } }),
    needs: ['start_command'],
  },
];
const inside = { name: 'broker', command: ['/bin/id'], input: false, terminal: null, user: null };
const privileged: readonly Case[] = [
  {
    title: 'an exec with more rights',
    message: requestOf('exec', { ...inside, privileged: true }),
    needs: ['exec_privileged'],
  },
  {
    title: 'an exec as another user',
    message: requestOf('exec', { ...inside, user: { uid: 0, gid: 0 } }),
    needs: ['exec_privileged'],
  },
];
const cases: readonly Case[] = [
  ...requestNames.flatMap((name) => {
    const permission = permissionNames.find((each) => each === (name === 'token_verify' ? 'token_verification' : name));
    // What steers a session needs nothing more than to be in one.
    return permission === undefined
      ? []
      : [{ title: name, message: requestOf(name, samples[name]), needs: [permission] }];
  }),
  ...special,
  ...privileged,
];

type Kind = (context: TestContext, permissions: Permissions) => Promise<Socket>;

const everywhere: Readonly<Record<string, Kind>> = {
  'a unix listener': async (context, permissions) => {
    const url = await openTestConsole(context, runtime(), { permissions, limits });
    return connect(url.slice('unix://'.length));
  },
  'a unix listener with a rule for the user': async (context, permissions) => {
    const peers = [{ uid: process.getuid?.() ?? 0, permissions }];
    const url = await openTestConsole(context, runtime(), { permissions: [], peers, limits });
    return connect(url.slice('unix://'.length));
  },
  'a TCP listener': async (context, permissions) => {
    const probe = createServer().listen(0, '127.0.0.1');
    await once(probe, 'listening');
    const { port } = probe.address() as { port: number };
    probe.close();
    await once(probe, 'close');
    await openTestConsole(context, runtime(), { listen: `tcp://127.0.0.1:${port}`, permissions, limits });
    return connect(port, '127.0.0.1');
  },
};

const tree = toTree({ containers: { broker: { state: 'installed' } } });
const runtime = () => Object.assign(fakeRuntime({ packages: [broker] }), { tree });

for (const [kind, open] of Object.entries(everywhere)) {
  test(`on ${kind} each permission allows its own requests and no others`, async (context) => {
    for (const permission of permissionNames) await checkOne(await open(context, [permission]), [permission], cases);
  });
  test(`on ${kind} nothing is allowed by default, and everything with full`, async (context) => {
    await checkOne(await open(context, []), [], cases);
    await checkOne(await open(context, 'full'), permissionNames, cases);
  });
}

test("on a container's console each of Northstar's permissions allows its own requests, and nothing one of ours but its own locks", async (context) => {
  const isNorthstars = (permission: Permission) => (northstarPermissions as readonly Permission[]).includes(permission);
  // What it may hold up of itself its entry says, and no permission.
  const isLock = ({ needs: [first] }: Case) => first === 'lock' || first === 'unlock';
  const heard = cases.map((each) => {
    if (isLock(each)) return { ...each, needs: permissionNames };
    return each.needs.every(isNorthstars) ? each : { ...each, needs: [] };
  });
  for (const permission of permissionNames) {
    await checkOne(await openContainer(context, [permission]), [permission], heard);
  }
  await checkOne(await openContainer(context, permissionNames), permissionNames, heard);
});

test('a subscription needs notifications, on every kind of connection', async (context) => {
  for (const open of [...Object.values(everywhere), openContainer]) {
    for (const permission of permissionNames) {
      const [answer] = await converse(await open(context, [permission]), [], true);
      const expected = permission === 'notifications' ? { connect_ack: null } : { connect_nack: 'permission_denied' };
      assert.deepEqual(answer, expected, permission);
    }
  }
});

async function openContainer(context: TestContext, permissions: readonly Permission[]): Promise<Socket> {
  const own = runtime();
  const shared = { runtime: own, feeds: openFeeds(own), tokens: testTokens, patches: 'boot', log: silentLog } as const;
  const listener = { ...shared, limits: { ...defaultLimits, ...limits }, now: () => 1001, hold: () => () => undefined };
  const path = join(await scratchDirectory(context), 'container');
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const peer = { identity: 'broker:1.2.3', permissions, onlyNorthstar: true };
    void serveConnection(socketChannel(socket, listener.limits, createMemory(listener.limits.memory)), peer, listener);
  }).listen(path);
  await once(server, 'listening');
  context.after(() => void server.close());
  return connect(path);
}

/** `granted`: what is to be allowed, of all cases. */
async function checkOne(socket: Socket, granted: readonly Permission[], all: readonly Case[]): Promise<void> {
  const [, ...answers] = await converse(
    socket,
    all.map(({ message }) => message),
    false,
  );
  for (const [index, { title, message, needs }] of all.entries()) {
    const { response } = answers[index] as { readonly response: { readonly permission_denied?: unknown } };
    const refused = typeof response === 'object' && 'permission_denied' in response;
    assert.equal(
      refused,
      !needs.some((each) => granted.includes(each)),
      `${title} with ${granted.join(' ') || 'nothing'}`,
    );
    if (refused) assert.deepEqual(response.permission_denied, message.request, title);
  }
}

/** What is answered to a connect and these messages, notifications left out. */
async function converse(socket: Socket, messages: readonly unknown[], subscribe: boolean): Promise<unknown[]> {
  socket.write(`{"connect":{"version":"0.9.2","subscribe_notifications":${subscribe}}}\n`);
  for (const message of messages) socket.write(`${JSON.stringify(message)}\n`);
  const answers: unknown[] = [];
  for await (const line of createInterface({ input: socket })) {
    const message = JSON.parse(line) as object;
    if (!('notification' in message)) answers.push(message);
    if (answers.length === messages.length + 1) break;
  }
  socket.destroy();
  return answers;
}
