// The messages of the console: their shapes, hand-checked, since a round trip takes microseconds and a schema library does not.
// Member names and error names are the protocol's. src/console/README.md documents the requests that Northstar does not have.
import { parseVersion } from '../../state/version.ts';
import type { Lifetime } from '../runtime.ts';
import { Malformed } from './json.ts';

/** The name that clients outside of containers have. */
export const externalIdentity = 'extern:0.0.0';

type Check<T> = (value: unknown) => T;

const text: Check<string> = (value) => {
  if (typeof value !== 'string') throw new Malformed('a text is due');
  return value;
};

/** Texts that end up in a C string: without NUL. */
const cText: Check<string> = (value) => {
  const checked = text(value);
  if (checked.includes('\0')) throw new Malformed('a text holds a NUL');
  return checked;
};

const whole: Check<number> = (value) => {
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw new Malformed('a whole number is due');
  return value as number;
};

const int32: Check<number> = (value) => {
  if (!Number.isInteger(value) || value !== ((value as number) | 0)) throw new Malformed('a 32-bit number is due');
  return value;
};

const flag: Check<boolean> = (value) => {
  if (typeof value !== 'boolean') throw new Malformed('true or false is due');
  return value;
};

const version: Check<string> = (value) => {
  try {
    return parseVersion(text(value));
  } catch (error) {
    throw new Malformed((error as Error).message);
  }
};

/** `name:version`; a pre-release or build suffix is dropped. */
const container: Check<string> = (value) => {
  const [name = '', ...rest] = text(value).split(':');
  if (!/^[0-9A-Za-z._-]{1,1024}$/.test(name)) throw new Malformed('a container is name:major.minor.patch');
  return `${name}:${version(rest.join(':'))}`;
};

const lifetime: Check<Lifetime> = (value) => {
  if (value !== 'boot' && value !== 'document') throw new Malformed('a lifetime is boot or document');
  return value;
};

const base64: Check<string> = (value) => {
  const checked = text(value);
  if (Buffer.from(checked, 'base64').toString('base64') !== checked) throw new Malformed('base64 is due');
  return checked;
};

const token: Check<string> = (value) => {
  if (Buffer.from(base64(value), 'base64').length !== 40) throw new Malformed('a token has 40 bytes');
  return value as string;
};

function list<T>(item: Check<T>): Check<readonly T[]> {
  return (value) => {
    if (!Array.isArray(value)) throw new Malformed('a list is due');
    return value.map(item);
  };
}

const textMap: Check<Readonly<Record<string, string>>> = (value) => {
  const entries = Object.entries(members(value)).map(([name, item]) => [cText(name), cText(item)] as const);
  return Object.fromEntries(entries);
};

function nullable<T>(check: Check<T>): Check<T | null> {
  return (value) => (value === undefined || value === null ? null : check(value));
}

/** A member that may be left out; it is then left out of an echo of the request, too. */
function optional<T>(check: Check<T>): Check<T | undefined> {
  return (value) => (value === undefined || value === null ? undefined : check(value));
}

function members(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Malformed('an object is due');
  return value as Readonly<Record<string, unknown>>;
}

/** An object with these members; others are ignored. */
function fields<S extends Readonly<Record<string, Check<unknown>>>>(
  shape: S,
): Check<{ readonly [K in keyof S]: ReturnType<S[K]> }> {
  return (value) => {
    const given = members(value);
    const checked = Object.entries(shape).map(([name, check]) => [name, check(given[name])] as const);
    return Object.fromEntries(checked.filter(([, item]) => item !== undefined)) as {
      readonly [K in keyof S]: ReturnType<S[K]>;
    };
  };
}

/** A request without members is its name alone; `{"list":null}` says the same. */
const nothing: Check<null> = (value) => {
  if (value !== null) throw new Malformed('this request has no members');
  return null;
};

const named = fields({ name: cText, lifetime: optional(lifetime), timeout: optional(whole) });

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
  apply: fields({ document: text, expected: nullable(whole) }),
  get: nothing,
  watch: nothing,
  plan: fields({ document: nullable(text) }),
  describe: fields({ name: text }),
  logs: fields({ name: text, since: nullable(whole), follow: flag }),
  wait: fields({ generation: whole, timeout: whole }),
  history: nothing,
  stop: named,
  pause: named,
  resume: named,
  restart: named,
  update: named,
} as const;

export type RequestName = keyof typeof shapes;

/** The members of each request, checked and normalised. */
export type Bodies = { readonly [K in RequestName]: ReturnType<(typeof shapes)[K]> };

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
  if (typeof given === 'string') return check(given, null);
  const [first, ...others] = Object.entries(members(given));
  if (first === undefined || others.length > 0) throw new Malformed('a request has one name');
  return check(first[0], first[1]);
}

function check(name: string, body: unknown): Request {
  if (!Object.hasOwn(shapes, name)) throw new Malformed(`there is no request ${name}`);
  return { name, body: shapes[name as RequestName](body) } as Request;
}

/** A request in the shape in which it is sent, and echoed by `permission_denied`. */
export function requestMessage(request: Request): unknown {
  return request.body === null ? request.name : { [request.name]: request.body };
}
