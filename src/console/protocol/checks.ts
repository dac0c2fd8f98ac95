// What a message may hold: checks that a round trip of microseconds can afford, each with the JSON Schema that says the same.
import { parseVersion } from '../../../state/version.ts';
import type { Lifetime } from '../../runtime/runtime.ts';
import { Malformed } from './json.ts';
import { containerId, splitContainerId } from '../../../state/container-id.ts';

/** A JSON Schema, draft 2020-12. */
export type Schema = Readonly<Record<string, unknown>>;

/** Gives the value in its normal form, or throws Malformed. */
export interface Check<T> {
  (value: unknown): T;
  readonly schema: Schema;
  /** The member may be left out. */
  readonly isOptional?: boolean;
}

/** What a check gives. */
export type Checked<C> = C extends Check<infer T> ? T : never;

function check<T>(schema: Schema, judge: (value: unknown) => T): Check<T> {
  return Object.assign((value: unknown) => judge(value), { schema });
}

/** A text. */
export const text = check({ type: 'string' }, (value) => {
  if (typeof value !== 'string') throw new Malformed('a text is due');
  return value;
});

/** A text that ends up in a C string: without NUL. */
export const cText = check({ type: 'string', pattern: '^[^\\u0000]*$' }, (value) => {
  const checked = text(value);
  if (checked.includes('\0')) throw new Malformed('a text holds a NUL');
  return checked;
});

/** A whole number from 0 to 2^53 - 1. */
export const whole = check({ type: 'integer', minimum: 0, maximum: Number.MAX_SAFE_INTEGER }, (value) => {
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw new Malformed('a whole number is due');
  return value as number;
});

/** A signed number of 32 bits. */
export const int32 = check({ type: 'integer', minimum: -(2 ** 31), maximum: 2 ** 31 - 1 }, (value) => {
  if (!Number.isInteger(value) || value !== ((value as number) | 0)) throw new Malformed('a 32-bit number is due');
  return value;
});

/** A whole number between two, both included. */
export function within(least: number, most: number): Check<number> {
  return check({ type: 'integer', minimum: least, maximum: most }, (value) => {
    const checked = whole(value);
    if (checked < least || checked > most) throw new Malformed(`a number from ${least} to ${most} is due`);
    return checked;
  });
}

export const flag = check({ type: 'boolean' }, (value) => {
  if (typeof value !== 'boolean') throw new Malformed('true or false is due');
  return value;
});

/** major.minor.patch; a pre-release or build suffix is dropped. */
export const version = check({ type: 'string', pattern: '^\\d+\\.\\d+\\.\\d+' }, (value) => {
  try {
    return parseVersion(text(value));
  } catch (error) {
    throw new Malformed((error as Error).message);
  }
});

/** `name:version`; a pre-release or build suffix is dropped. */
export const container = check({ type: 'string', pattern: '^[0-9A-Za-z._-]{1,1024}:\\d+\\.\\d+\\.\\d+' }, (value) => {
  const { name, version: after } = splitContainerId(text(value));
  if (!/^[0-9A-Za-z._-]{1,1024}$/.test(name)) throw new Malformed('a container is name:major.minor.patch');
  return containerId(name, version(after ?? ''));
});

export const lifetime = oneOf<Lifetime>('document', 'boot');

/** One of a few words. */
export function oneOf<const T extends string>(...words: readonly T[]): Check<T> {
  return check({ enum: words }, (value) => {
    const found = words.find((word) => word === value);
    if (found === undefined) throw new Malformed(`one of ${words.join(', ')} is due`);
    return found;
  });
}

export const base64 = check({ type: 'string', contentEncoding: 'base64' }, (value) => {
  const checked = text(value);
  if (Buffer.from(checked, 'base64').toString('base64') !== checked) throw new Malformed('base64 is due');
  return checked;
});

export const token = check({ type: 'string', contentEncoding: 'base64', minLength: 56, maxLength: 56 }, (value) => {
  if (Buffer.from(base64(value), 'base64').length !== 40) throw new Malformed('a token has 40 bytes');
  return value as string;
});

/** Any JSON value. */
export const anything = check({}, (value) => value);

/** A list of at most `most` items. */
export function list<T>(item: Check<T>, most = Infinity): Check<readonly T[]> {
  const schema = { type: 'array', items: item.schema, ...(most < Infinity && { maxItems: most }) };
  return check(schema, (value) => {
    if (!Array.isArray(value)) throw new Malformed('a list is due');
    if (value.length > most) throw new Malformed(`a list has more than ${most} items`);
    return value.map((each) => item(each));
  });
}

export const textMap = check(
  { type: 'object', propertyNames: cText.schema, additionalProperties: cText.schema },
  (value): Readonly<Record<string, string>> => {
    const entries = Object.entries(members(value)).map(([name, item]) => [cText(name), cText(item)] as const);
    return Object.fromEntries(entries);
  },
);

/** A member that may be left out or null. */
export function nullable<T>(of: Check<T>): Check<T | null> {
  const made = check({ anyOf: [of.schema, { type: 'null' }] }, (value) =>
    value === undefined || value === null ? null : of(value),
  );
  return Object.assign(made, { isOptional: true });
}

/** A member that may be left out; it is then left out of an echo of the request, too. */
export function optional<T>(of: Check<T>): Check<T | undefined> {
  const made = check({ anyOf: [of.schema, { type: 'null' }] }, (value) =>
    value === undefined || value === null ? undefined : of(value),
  );
  return Object.assign(made, { isOptional: true });
}

/** Any object. */
export function members(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Malformed('an object is due');
  return value as Readonly<Record<string, unknown>>;
}

type Shape = Readonly<Record<string, Check<unknown>>>;
type Optional<S extends Shape> = { [K in keyof S]: undefined extends Checked<S[K]> ? K : never }[keyof S];
type Fields<S extends Shape> = { readonly [K in Exclude<keyof S, Optional<S>>]: Checked<S[K]> } & {
  readonly [K in Optional<S>]?: Checked<S[K]>;
};

/** An object with these members; others are ignored. */
export function fields<S extends Shape>(shape: S): Check<Fields<S>> {
  const entries = Object.entries(shape);
  const schema = {
    type: 'object',
    properties: Object.fromEntries(entries.map(([name, each]) => [name, each.schema])),
    required: entries.filter(([, each]) => each.isOptional !== true).map(([name]) => name),
  };
  return check(schema, (value) => {
    const given = members(value);
    const checked: Record<string, unknown> = {};
    for (const [name, each] of entries) {
      const item = each(given[name]);
      if (item !== undefined) checked[name] = item;
    }
    return checked as Fields<S>;
  });
}

/** A request without members is its name alone; `{"list":null}` says the same. */
export const nothing = check({ type: 'null' }, (value) => {
  if (value !== null) throw new Malformed('this request has no members');
  return null;
});

/** A request whose members may be left out all together. */
export function orNothing<T>(of: Check<T>): Check<T | null> {
  return check({ anyOf: [of.schema, { type: 'null' }] }, (value) => (value === null ? null : of(value)));
}
