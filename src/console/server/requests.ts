// What each request does: one table, so that a request without an answer does not compile.
import { nextRun, type Command } from '../../../state/document/command-patches.ts';
import { DocumentSigned } from '../../../state/document/refusals.ts';
import type { State } from '../../../state/store.ts';
import { RuntimeError, type Lifetime, type LogLine, type Performed } from '../../runtime/runtime.ts';
import { northstarError, ourError } from '../protocol/console-errors.ts';
import { checkKill, checkMount, checkStart, checkUmount, checkUninstall, isRunning } from './preconditions.ts';
import {
  applyDocument,
  decided,
  dropOverlay,
  eventsFrom,
  getState,
  notDurable,
  patchDocument,
  rollbackTo,
  PatchForbidden,
  sendReport,
  watchFrom,
} from './document-requests.ts';
import { externalIdentity, requestMessage, type Bodies, type Request } from '../protocol/protocol.ts';
import { describeContainer, inspectContainer, keyOf, listGenerations, listQuarantine, overlayOf } from './queries.ts';
import type { Quick } from './quick-answers.ts';
import type { Session } from './session.ts';
import { copyWith, execIn, inputOf, resizeTo, runOnceFor, signalTo } from './session-requests.ts';
import { brokenFilesOf } from '../../../state/broken-files.ts';
import { containerName } from '../../../state/container-id.ts';

/** How long a command may take until it is answered with an error, in ms. */
const commandTimeout = 10_000;

/** How long another runtime has to prove itself, in ms. */
const proofTimeout = 60_000;

type Slow = Exclude<Request, Quick>;
type Handlers = { readonly [K in Slow['name']]: (body: Bodies[K], session: Session) => unknown };

/** The value of `response` for a request that is allowed; those that change nothing are answered by quick-answers.ts. */
export async function answer(request: Slow, session: Session): Promise<unknown> {
  const handle = handlers[request.name] as (body: Slow['body'], session: Session) => unknown;
  return await handle(request.body, session);
}

const handlers: Handlers = {
  shutdown: (_, { runtime, after }) => {
    after(() => runtime.shutdown());
    return 'shutdown';
  },
  inspect: async ({ container }, { runtime, now }) => ({
    inspect: await ofContainer(container, async () => ({ data: await inspectContainer(runtime, container, now) })),
  }),
  install: async ({ repository, size, lifetime }, session) => {
    const stretch = session.stretch(size);
    const options = { lifetime: lifetime ?? session.lifetime, origin: session.identity };
    const outcome = await session.runtime.install(repository, size, stretch.pieces, options).then(
      ({ container, notDurable: why }) => ({ ok: { container, ...notDurable(why) } }),
      (error: unknown) => ({ error: { error: northstarError(error) } }),
    );
    await stretch.skip();
    return { install: outcome };
  },
  uninstall: async (body, session) => ({
    uninstall: await ofContainer(body.container, async () => {
      begin(body.container, session, (state) => checkUninstall(state, body));
      const command = { type: 'uninstall', container: body.container, wipe: body.wipe } as const;
      const { dataKeptFor, notDurable: why } = await run(session, command, body);
      return { ...(dataKeptFor.length > 0 && { data_kept_for: dataKeptFor }), ...notDurable(why) };
    }),
  }),
  mount: async (body, session) => ({
    mount: await Promise.all(
      body.containers.map((container) =>
        ofContainer(container, async () => {
          begin(container, session, (state) => checkMount(state, container));
          return await ordered(session, { type: 'mount', container }, body);
        }),
      ),
    ),
  }),
  umount: async (body, session) => ({
    umount: await Promise.all(
      body.containers.map((container) =>
        ofContainer(container, async () => {
          begin(container, session, (state) => checkUmount(state, container));
          return await ordered(session, { type: 'umount', container }, body);
        }),
      ),
    ),
  }),
  start: async (body, session) => ({
    start: await ofContainer(body.container, () =>
      session.runtime.inTurn(containerName(body.container), async () => {
        begin(body.container, session, (state) => checkStart(state, body));
        const { container, init, arguments: args, environment: env } = body;
        return await ordered(session, { type: 'start', container, init, args, env }, body);
      }),
    ),
  }),
  kill: async (body, session) => ({
    kill: await ofContainer(body.container, async () => {
      begin(body.container, session, (state) => checkKill(state, body));
      // It may have had its effect before this process was there.
      if (session.begun.has(body.container) && !isRunning(session.runtime.state(), body.container)) return {};
      return await ordered(session, { type: 'kill', container: body.container, signal: body.signal }, body);
    }),
  }),
  token_create: ({ target, shared }, { tokens, identity }) => ({
    token: tokens.create(containerName(identity), target, Buffer.from(shared, 'base64')),
  }),
  token_verify: ({ token, user, shared }, { tokens, identity, tokenValidity }) => {
    const given = { user, target: containerName(identity), shared: Buffer.from(shared, 'base64') };
    return { token_verification: tokens.verify(Buffer.from(token, 'base64'), given, tokenValidity) };
  },

  apply: async (body, session) => ({ apply: await ours(() => applyDocument(body, session)) }),
  patch: async (body, session) => {
    try {
      return { patch: { ok: await patchDocument(body, session) } };
    } catch (error) {
      if (error instanceof PatchForbidden) return { permission_denied: requestMessage({ name: 'patch', body }) };
      return { patch: { error: { error: ourError(error) } } };
    }
  },
  get: async (body, session) => ({ get: await ours(() => getState(body, session)) }),
  watch: async (body, session) => ({ watch: await ours(() => watchFrom(body, session)) }),
  events: async (body, session) => ({ events: await ours(() => eventsFrom(body, session)) }),
  explain: async ({ name }, { runtime }) => ({
    explain: await ours(() => {
      const state = runtime.state();
      const key = keyOf(state, name);
      const files = brokenFilesOf(containerName(key), state.observed.repositories.values());
      const { record, waits } = state.trial ?? {};
      const staged = record?.state === 'staged' ? { generation: record.generation, waits: waits ?? null } : null;
      const { schedule = null } = state.status.containers[key] ?? {};
      return { name: key, unmet: runtime.explain(key), schedule, overlay: overlayOf(state, key), files, staged };
    }),
  }),
  overlay_drop: async (body, session) => ({ overlay_drop: await ours(() => dropOverlay(body, session)) }),
  rollback: async (body, session) => ({ rollback: await ours(() => rollbackTo(body, session)) }),
  confirm: async ({ generation }, { runtime }) => ({ confirm: await ours(() => decided(runtime.confirm(generation))) }),
  revert: async ({ generation }, { runtime, identity }) => ({
    revert: await ours(() => decided(runtime.revert(generation, identity))),
  }),
  trial: (_, { runtime }) => ({ trial: { ok: { trial: runtime.state().status.trial } } }),
  quarantine: (_, { runtime }) => ({ quarantine: { ok: { quarantine: listQuarantine(runtime.state()) } } }),
  quarantine_release: async ({ which }, { runtime }) => ({
    quarantine_release: await ours(async () => ({ released: await runtime.release(which) })),
  }),
  report: (_, session) => {
    session.after(() => void sendReport(session));
    return { report: { ok: { name: reportName(new Date()) } } };
  },
  plan: async ({ document }, { runtime }) => ({
    plan: await ours(() => runtime.plan(document)),
  }),
  install_source: async (body, session) => ({ install_source: await ours(() => installSource(body, session)) }),
  lock: async ({ name, ttl }, session) => ({
    lock: await ours(async () => {
      const locked = lockedName(name, session);
      return { name: locked, ttl: await session.runtime.lock(locked, ttl, session.identity) };
    }),
  }),
  unlock: async ({ name }, session) => ({
    unlock: await ours(async () => {
      const locked = lockedName(name, session);
      await session.runtime.unlock(locked, session.identity);
      return { name: locked };
    }),
  }),
  describe: async ({ name }, { runtime }) => ({ describe: await ours(() => describeContainer(runtime, name)) }),
  logs: async ({ name, since, follow, boot, previous = false }, session) => ({
    logs: await ours(() => {
      const present = session.runtime.boot;
      if (boot !== undefined && boot !== present) {
        const message = `output is kept until the boot ends; this is boot ${present}`;
        throw new RuntimeError('unknown_boot', message, { boot: present });
      }
      const key = keyOf(session.runtime.state(), name);
      if (session.logs.has(key))
        throw new RuntimeError('busy', `${key} is read on this connection already`, { name: key });
      session.logs.add(key);
      const lines = session.runtime.logs(containerName(key), { since, follow, previous, signal: session.signal });
      session.after(() => void sendLog(key, lines, session));
      return { name: key, boot: present };
    }),
  }),
  wait: async ({ generation, timeout, for: what = 'reached' }, { runtime }) => ({
    wait: await ours(() => runtime.wait({ generation, timeout, what })),
  }),
  history: async (_, { runtime }) => ({
    history: await ours(() => listGenerations(runtime)),
  }),
  reexec: async ({ to, timeout = proofTimeout }, { runtime, begun, begin: note }) => ({
    reexec: await ours(async () => {
      const since = begun.get('reexec') ?? null;
      if (since === null) note('reexec', runtime.takeovers);
      return await runtime.reexec({ to, timeout, since });
    }),
  }),
  metrics: async (_, { runtime }) => ({ metrics: await ours(() => runtime.metrics()) }),
  exec: async (body, session) => ({ exec: await ours(() => execIn(body, session)) }),
  run_once: async (body, session) => ({ run_once: await ours(() => runOnceFor(body, session)) }),
  copy: async (body, session) => ({ copy: await ours(() => copyWith(body, session)) }),
  session_input: async (body, session) => ({ session_input: await ours(() => inputOf(body, session)) }),
  session_resize: async (size, session) => ({ session_resize: await ours(() => resizeTo(size, session)) }),
  session_signal: async (body, session) => ({ session_signal: await ours(() => signalTo(body, session)) }),
  stop: async (body, session) => ({ stop: await ofName(body, session, 'stop') }),
  pause: async (body, session) => ({ pause: await ofName(body, session, 'pause') }),
  resume: async (body, session) => ({ resume: await ofName(body, session, 'resume') }),
  restart: async (body, session) => ({ restart: await ofName(body, session, 'restart') }),
  update: async (body, session) => ({ update: await ofName(body, session, 'update') }),
};

/** Answers when the package is here, and its entry durable; of a dry run at once. */
async function installSource(body: Bodies['install_source'], session: Session): Promise<unknown> {
  const { source, repository, dry_run: dryRun = false } = body;
  if (session.runtime.signed && !dryRun)
    throw new DocumentSigned('an installation from an address that it does not name');
  const found = await session.runtime.lookAtSource(source);
  if (dryRun) return found;
  const { repositories } = session.runtime.state().desired;
  if (repository !== null && !repositories.has(repository))
    throw new RuntimeError('invalid_repository', `there is no repository ${repository}`, { repository });
  const command = { type: 'install-entry', container: found.container, repository, source } as const;
  return { ...found, ...(await ordered(session, command, body)) };
}

/** Checks whether a request may be done: not what an earlier reconciler had begun, which was allowed then. */
function begin(container: string, { runtime, begun, begin: note }: Session, check: (state: State) => void): void {
  if (begun.has(container)) return;
  const state = runtime.state();
  check(state);
  note(container, nextRun(state, containerName(container)));
}

/** A container locks itself; anybody else says what. */
function lockedName(name: string | undefined, { identity, runtime }: Session): string {
  const isContainer = identity !== externalIdentity;
  if (!isContainer && name === undefined) throw new RuntimeError('invalid_arguments', 'a lock has a name');
  const own = containerName(identity);
  const asked = name === undefined ? own : containerName(keyOf(runtime.state(), name));
  if (isContainer && asked !== own)
    throw new RuntimeError('invalid_arguments', `${own} holds up itself alone, not ${asked}`, { name: asked });
  return asked;
}

/** Northstar's outcome of a request for one container. */
async function ofContainer(container: string, act: () => Promise<object>): Promise<unknown> {
  try {
    const more = await act();
    return { ok: { container, ...more } };
  } catch (error) {
    return { error: { container, error: northstarError(error) } };
  }
}

async function ours(act: () => Promise<unknown> | object | null): Promise<unknown> {
  try {
    return { ok: await act() };
  } catch (error) {
    return { error: { error: ourError(error) } };
  }
}

async function ofName(
  body: Bodies['stop'],
  session: Session,
  type: 'stop' | 'pause' | 'resume' | 'restart' | 'update',
): Promise<unknown> {
  return await ours(async () => {
    const name = keyOf(session.runtime.state(), body.name);
    return { name, ...(await ordered(session, { type, name }, body)) };
  });
}

/** Performs a command; gives what its answer says of how long it lasts. */
async function ordered(...given: Parameters<typeof run>): Promise<{ readonly not_durable?: string }> {
  return notDurable((await run(...given)).notDurable);
}

async function run(
  session: Session,
  command: Command,
  body: { readonly lifetime?: Lifetime | undefined; readonly timeout?: number | undefined },
): Promise<Performed> {
  const lifetime = body.lifetime ?? session.lifetime;
  const timeout = body.timeout ?? commandTimeout;
  const begun = 'container' in command ? session.begun.get(command.container) : undefined;
  return await session.runtime.command(command, {
    lifetime,
    origin: session.identity,
    timeout,
    ...(begun !== undefined && { begun }),
  });
}

/** What the archive of a report may be called: the time goes into it, UTC. */
function reportName(now: Date): string {
  return `northstate-report-${now.toISOString().slice(0, 19).replaceAll(':', '')}Z.zip`;
}

/** Sends a container's output line by line, as fast as the client reads, then says that it is over. */
async function sendLog(name: string, lines: AsyncIterable<LogLine>, session: Session): Promise<void> {
  let error: unknown = null;
  try {
    for await (const line of lines) {
      if (session.signal.aborted) return;
      await session.send({ log: { name, ...line } });
    }
  } catch (cause) {
    if (session.signal.aborted) return;
    error = ourError(cause);
  }
  session.logs.delete(name);
  await session.send({ log_end: { name, error } });
}
