// A connection that is in a container: what its client types goes in, what is written there comes out as notifications.
import { RuntimeError, type ContainerSession, type SessionRequest } from '../../runtime/runtime.ts';
import { containerName } from '../../../state/container-id.ts';
import type { Bodies } from '../protocol/protocol.ts';
import { keyOf } from './queries.ts';
import type { Session } from './session.ts';

/** Bytes of input that may wait for the program; a client is told what was taken, and waits. */
const mostUntaken = 1024 * 1024;

/** `exec`: a program joins the container. */
export async function execIn(body: Bodies['exec'], session: Session): Promise<{ container: string }> {
  const { command, input, terminal, user, privileged = false, shell = false } = body;
  if (command.length === 0) throw invalid('exec needs a command');
  return await join(body.name, { does: { exec: command }, input, terminal, user, privileged, shell }, session);
}

/** `copy`: a file of it, with the rights of its application. */
export async function copyWith(body: Bodies['copy'], session: Session): Promise<{ container: string }> {
  const { direction, path, size = 0, mode = 0o644 } = body;
  if (!path.startsWith('/')) throw invalid(`${path} is no absolute path`);
  const copy = { direction, path, size, mode };
  const none = { terminal: null, user: null, privileged: false, shell: false };
  return await join(body.name, { does: { copy }, input: direction === 'in', ...none }, session);
}

async function join(asked: string, request: SessionRequest, session: Session): Promise<{ container: string }> {
  const { runtime, identity } = session;
  const name = containerName(keyOf(runtime.state(), asked));
  return await carry(name, () => runtime.join(name, request, identity), session);
}

/** `run_once`: the connection is about that run, and ends it when it ends. */
export async function runOnceFor(body: Bodies['run_once'], session: Session): Promise<{ container: string }> {
  const { name, arguments: args, timeout } = body;
  return await carry(name, () => session.runtime.runOnce({ name, args, timeout }, session.identity), session);
}

/** The connection carries what is written, and the end. */
async function carry(
  name: string,
  open: () => Promise<ContainerSession>,
  session: Session,
): Promise<{ container: string }> {
  const { inside } = session;
  if (inside.session !== null) throw new RuntimeError('busy', 'this connection is in a container already', { name });
  const joined = await open();
  inside.session = joined;
  const close = (): void => void joined.close();
  if (session.signal.aborted) close();
  session.signal.addEventListener('abort', close);
  session.after(() => void tellAll(joined, session));
  return { container: joined.container };
}

/** Output as fast as the client reads it, then how it ended. */
async function tellAll(joined: ContainerSession, { send, signal }: Session): Promise<void> {
  for await (const { stream, data } of joined.output()) {
    if (signal.aborted) return;
    await send({ session_output: { stream, data: data.toString('base64') } });
  }
  await send({ session_over: await joined.ended });
}

/** `session_input`: answered at once, so that a signal can follow; what the program has room for is told. */
export function inputOf({ data, end = false }: Bodies['session_input'], session: Session): null {
  const { inside } = session;
  const joined = present(session);
  const bytes = Buffer.from(data, 'base64');
  inside.given += bytes.length;
  if (inside.given - inside.taken > mostUntaken) {
    void joined.close();
    throw new RuntimeError('session_failed', `more than ${mostUntaken} bytes of input wait for the program`);
  }
  void take(bytes, joined, session);
  if (end) joined.end();
  return null;
}

async function take(bytes: Buffer, joined: ContainerSession, { inside, send, signal }: Session): Promise<void> {
  if (bytes.length === 0) return;
  await joined.write(bytes);
  inside.taken += bytes.length;
  if (!signal.aborted) await send({ session_taken: { bytes: inside.taken } });
}

/** `session_resize`: of the terminal. */
export function resizeTo(size: Bodies['session_resize'], session: Session): null {
  present(session).resize(size);
  return null;
}

/** `session_signal`: to the program and its process group. */
export async function signalTo({ signal }: Bodies['session_signal'], session: Session): Promise<null> {
  await present(session).signal(signal);
  return null;
}

function present({ inside }: Session): ContainerSession {
  if (inside.session === null) throw invalid('this connection is in no container');
  return inside.session;
}

function invalid(cause: string): RuntimeError {
  return new RuntimeError('invalid_arguments', cause, { cause });
}
