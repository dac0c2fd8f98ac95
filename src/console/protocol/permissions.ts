// Who may ask what. Northstar has fifteen permissions; every request that is ours has one under its own name.
import type { Operation } from 'fast-json-patch';
import type { DesiredState } from '../../../state/desired.ts';
import { parsePointer } from '../../../state/text/pointer.ts';
import { isMap, type Tree } from '../../../state/text/tree.ts';
import { requestNames, type Request, type RequestName } from './protocol.ts';

export type Permission =
  | Exclude<RequestName, 'token_verify' | SessionSteering>
  | 'notifications'
  | 'start_command'
  | 'token_verification'
  | 'exec_privileged';

/** What steers the session that a connection has been let into: needs nothing more. */
type SessionSteering = 'session_input' | 'session_resize' | 'session_signal';

/** Everything, or what is listed: nothing is allowed by default. */
export type Permissions = 'full' | readonly Permission[];

export const permissionNames: readonly Permission[] = [
  ...requestNames.flatMap((name): Permission[] => {
    if (isSteering(name)) return [];
    return [name === 'token_verify' ? 'token_verification' : name];
  }),
  'notifications',
  'start_command',
  'exec_privileged',
];

function isSteering(name: RequestName): name is SessionSteering {
  return name === 'session_input' || name === 'session_resize' || name === 'session_signal';
}

/** Whether one permission is among those given. */
export function grants(permissions: Permissions, permission: Permission): boolean {
  return permissions === 'full' || permissions.includes(permission);
}

/**
 * Whether a request is allowed. A start with an init, arguments or variables of its own needs `start_command` instead of
 * `start` (a `run_once` with arguments as well as its own), an `exec` as another user, or with more rights than the application has, `exec_privileged`; a patch is judged by its operations, once they are known.
 */
export function allows(permissions: Permissions, request: Request): boolean {
  if (request.name === 'patch') return true;
  if (request.name === 'run_once' && request.body.arguments.length > 0 && !grants(permissions, 'start_command'))
    return false;
  const permission = needed(request);
  return permission === null || grants(permissions, permission);
}

/** Null: nothing. */
function needed(request: Request): Permission | null {
  if (request.name === 'token_verify') return 'token_verification';
  if (request.name === 'exec')
    return request.body.privileged === true || request.body.user !== null ? 'exec_privileged' : 'exec';
  if (request.name !== 'start') return isSteering(request.name) ? null : request.name;
  const { init, arguments: args, environment } = request.body;
  return init !== null || args.length > 0 || Object.keys(environment).length > 0 ? 'start_command' : 'start';
}

/**
 * Whether a patch of the document `tree` is allowed. `reads`: that it changes nothing, or what, tells something of the
 * document, as `get` does.
 */
export function allowsPatch(
  permissions: Permissions,
  operations: readonly Operation[],
  { reads, tree }: { readonly reads: boolean; readonly tree: Tree },
): boolean {
  if (grants(permissions, 'patch')) return true;
  const needed = patchPermissions(operations, tree);
  const all = [...needed, ...(reads || operations.length === 0 ? (['get'] as const) : [])];
  return all.every((permission) => grants(permissions, permission));
}

/**
 * What operations on the document (RFC 6902) need, each once. How containers run needs what the request for it would, judged
 * by what the entry says now: `start` to run or to run once more, `start_command` for another program, arguments or variables,
 * `kill` to stop; further down `umount` or `uninstall` with it, and up `mount` and `install`. A `test` tells what stands there,
 * as `get` does. Anything else, a new entry and repositories above all, is `patch`: whoever may change that commands root, so
 * that it stands for all the others.
 */
export function patchPermissions(operations: readonly Operation[], tree: Tree): readonly Permission[] {
  return [...new Set(operations.flatMap((operation) => neededFor(operation, tree)))];
}

function neededFor(operation: Operation, tree: Tree): readonly Permission[] {
  if (operation.op === 'test') return ['get'];
  if (operation.op !== 'add' && operation.op !== 'replace' && operation.op !== 'remove') return ['patch'];
  const [top, key, field, ...below] = pathOf(operation.path);
  const entry = key === undefined ? undefined : member(member(tree, 'containers'), key);
  if (top !== 'containers' || field === undefined || !isMap(entry)) return ['patch'];
  const value: unknown = operation.op === 'remove' ? undefined : operation.value;
  if (field === 'state' && below.length === 0) return forState(entry.get('state') ?? 'running', value ?? 'running');
  if (field === 'run') return forRun(below, value);
  return field === 'init' || field === 'args' || field === 'env' ? ['start_command'] : ['patch'];
}

function member(tree: Tree | undefined, key: string): Tree | undefined {
  return isMap(tree) ? tree.get(key) : undefined;
}

function pathOf(pointer: string): string[] {
  try {
    return parsePointer(pointer);
  } catch {
    return []; // no pointer: refused later, for a reason that tells more
  }
}

/** From the lowest to the highest. */
const states: readonly unknown[] = ['absent', 'installed', 'mounted', 'running'] satisfies DesiredState[];

/** From one state to another, by way of those between them. */
function forState(from: unknown, to: unknown): readonly Permission[] {
  if (!states.includes(from) || !states.includes(to)) return ['patch'];
  const install: readonly Permission[] = from === 'absent' && to !== from ? ['install'] : [];
  const stop: readonly Permission[] = from === 'running' ? ['kill'] : [];
  if (to === 'running') return [...install, 'start'];
  if (to === 'absent') return [...stop, 'uninstall'];
  if (to === 'installed') return from === 'absent' ? install : [...stop, 'umount'];
  return [...install, states.indexOf(from) < states.indexOf(to) ? 'mount' : 'kill'];
}

/** `run` is a number, or an object that may bring a command of its own; `below` names a member of it. */
function forRun(below: readonly string[], value: unknown): readonly Permission[] {
  const isPlain = value === undefined || typeof value === 'number';
  if (below.length === 0 && !isPlain) return ['start_command'];
  return below.length === 0 || below[0] === 'id' ? ['start'] : ['start_command'];
}

/** What the user, or a group, of a client's process gives it: both, where both are named. */
export interface PeerRule {
  readonly uid?: number;
  readonly gid?: number;
  readonly permissions: Permissions;
}
