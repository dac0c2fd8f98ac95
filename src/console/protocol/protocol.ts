// The messages of the console and their shapes.
// Member names and error names are the protocol's. src/console/README.md documents the requests that Northstar does not have.
import type { Operation } from 'fast-json-patch';
import {
  anything,
  base64,
  cText,
  container,
  fields,
  flag,
  int32,
  lifetime,
  list,
  members,
  nothing,
  nullable,
  oneOf,
  optional,
  orNothing,
  text,
  textMap,
  token,
  version,
  whole,
  within,
  type Check,
  type Checked,
  type Schema,
} from './checks.ts';
import { described } from '../../../state/schema/describe-schema.ts';
import { messageDescriptions } from './message-descriptions.ts';
import { Malformed } from './json.ts';

/** The name that clients outside of containers have. */
export const externalIdentity = 'extern:0.0.0';

/** Operations of one patch. */
const mostOperations = 1000;

/** One operation of RFC 6902. */
const operation = fields({
  op: oneOf('add', 'remove', 'replace', 'move', 'copy', 'test'),
  path: text,
  from: optional(text),
  value: anything,
}) as Check<unknown> as Check<Operation>;

/** Where a client was when it lost its connection: the last number that it has seen, and in which boot. */
const position = fields({ since: nullable(whole), boot: nullable(text) });

const named = fields({ name: cText, lifetime: optional(lifetime), timeout: optional(whole) });

/** A terminal's rows and columns; the kernel has 16 bits for each. */
const extent = within(1, 65_535);
const id = within(0, 0xfffffffe);

const shapes = {
  ident: nothing,
  list: nothing,
  repositories: nothing,
  shutdown: nothing,
  inspect: fields({ container }),
  install: fields({ repository: text, size: whole, lifetime: optional(lifetime) }),
  uninstall: fields({ container, wipe: flag, lifetime: optional(lifetime) }),
  mount: fields({ containers: list(container), lifetime: optional(lifetime) }),
  umount: fields({ containers: list(container), lifetime: optional(lifetime) }),
  start: fields({
    container,
    init: nullable(cText),
    arguments: list(cText),
    environment: textMap,
    lifetime: optional(lifetime),
  }),
  kill: fields({ container, signal: int32, lifetime: optional(lifetime) }),
  token_create: fields({ target: text, shared: base64 }),
  token_verify: fields({ token, user: text, shared: base64 }),
  // Not Northstar's:
  apply: fields({
    document: text,
    expected: nullable(whole),
    dry_run: optional(flag),
    signature: optional(text),
    force: optional(flag),
    strict: optional(flag),
    prune: optional(flag),
  }),
  patch: fields({
    operations: optional(list(operation, mostOperations)),
    merge: optional(anything),
    expected: nullable(whole),
    lifetime: optional(lifetime),
  }),
  get: orNothing(
    fields({ what: oneOf('status', 'desired', 'observed'), container: optional(cText), generation: optional(whole) }),
  ),
  watch: orNothing(position),
  plan: fields({ document: nullable(text) }),
  install_source: fields({
    source: text,
    repository: nullable(text),
    dry_run: optional(flag),
    lifetime: optional(lifetime),
    timeout: optional(whole),
  }),
  lock: fields({ name: optional(cText), ttl: within(1, 2 ** 31 - 1) }),
  unlock: fields({ name: optional(cText) }),
  describe: fields({ name: text }),
  explain: fields({ name: text }),
  overlay_drop: fields({ name: nullable(text) }),
  logs: fields({ name: text, since: nullable(whole), follow: flag, boot: optional(text), previous: optional(flag) }),
  events: orNothing(fields({ since: nullable(whole), boot: nullable(text), follow: optional(flag) })),
  wait: fields({ generation: nullable(whole), timeout: whole, for: optional(oneOf('reached', 'confirmed')) }),
  history: nothing,
  metrics: nothing,
  rollback: fields({ generation: whole, expected: nullable(whole) }),
  confirm: fields({ generation: nullable(whole) }),
  revert: fields({ generation: nullable(whole) }),
  trial: nothing,
  quarantine: nothing,
  quarantine_release: fields({ which: nullable(text) }),
  report: nothing,
  reexec: fields({ to: nullable(cText), timeout: optional(within(1, 600_000)) }),
  exec: fields({
    name: cText,
    command: list(cText, 1024),
    input: flag,
    terminal: nullable(fields({ rows: extent, columns: extent, type: cText })),
    user: nullable(fields({ uid: id, gid: id })),
    privileged: optional(flag),
    shell: optional(flag),
  }),
  run_once: fields({ name: cText, arguments: list(cText, 1024), timeout: nullable(whole) }),
  copy: fields({
    name: cText,
    direction: oneOf('in', 'out'),
    path: cText,
    size: optional(whole),
    mode: optional(within(0, 0o777)),
  }),
  session_input: fields({ data: base64, end: optional(flag) }),
  session_resize: fields({ rows: extent, columns: extent }),
  session_signal: fields({ signal: within(1, 31) }),
  stop: named,
  pause: named,
  resume: named,
  restart: named,
  update: named,
} as const;

export type RequestName = keyof typeof shapes;

/** The members of each request, checked and normalised. */
export type Bodies = { readonly [K in RequestName]: Checked<(typeof shapes)[K]> };

/** A request: its name and its members. */
export type Request = { readonly [K in RequestName]: { readonly name: K; readonly body: Bodies[K] } }[RequestName];

export const requestNames = Object.keys(shapes) as readonly RequestName[];

export interface Connect {
  readonly version: string;
  readonly subscribe: boolean;
}

const connect = fields({ version, subscribe_notifications: flag });

/** The first message of a connection; Malformed when it is anything else. */
export function readConnect(message: unknown): Connect {
  const given = connect(members(message)['connect']);
  return { version: given.version, subscribe: given.subscribe_notifications };
}

/** Whether a client of this protocol version is served: 0.9 and later, the patch number does not count. */
export function isServed(clientVersion: string): boolean {
  const [major = 0, minor = 0] = clientVersion.split('.').map((part) => Number.parseInt(part, 10));
  return major > 0 || minor >= 9;
}

/** A request; Malformed when the message is none. */
export function readRequest(message: unknown): Request {
  const given = members(message)['request'];
  if (typeof given === 'string') return readShape(given, null);
  const [first, ...others] = Object.entries(members(given));
  if (first === undefined || others.length > 0) throw new Malformed('a request has one name');
  return readShape(first[0], first[1]);
}

function readShape(name: string, body: unknown): Request {
  if (!Object.hasOwn(shapes, name)) throw new Malformed(`there is no request ${name}`);
  const judge: Check<unknown> = shapes[name as RequestName];
  return { name, body: judge(body) } as Request;
}

/** A request in the shape in which it is sent, and echoed by `permission_denied`. */
export function requestMessage(request: Request): unknown {
  return request.body === null ? request.name : { [request.name]: request.body };
}

/** The JSON Schema (draft 2020-12) of a message of a client. */
export function messageSchema(): Schema {
  const alone = requestNames.filter((name) => !Object.hasOwn(shapes[name].schema, 'properties'));
  const requests = requestNames.map((name) => ({
    type: 'object',
    properties: { [name]: shapes[name].schema },
    required: [name],
    maxProperties: 1,
  }));
  const schema = {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'A message to the console of northstate',
    anyOf: [
      { type: 'object', properties: { connect: connect.schema }, required: ['connect'] },
      {
        type: 'object',
        properties: { request: { anyOf: [{ enum: alone }, ...requests] } },
        required: ['request'],
      },
    ],
  };
  return described(schema, messageDescriptions);
}
