// Fields that both forms of the configuration have, config.yaml and northstar.toml.
import { z } from 'zod';
import type { Problem } from '../../state/schema/check-value.ts';
import { parseSize } from '../../state/schema/units.ts';
import { parseAddress, type Address } from '../console/protocol/address.ts';
import { permissionNames, type Permission } from '../console/protocol/permissions.ts';
import { messageOf } from '../../state/errno.ts';

export const path = z
  .string({ error: ({ input }) => (input === undefined ? 'is missing' : 'must be a text') })
  .regex(/^\/[^\0]{0,4095}$/, 'must be an absolute path');

/** The most that anything is counted to: requests a second, connections, notifications. */
export const mostCounted = 1_000_000;
export const count = z.int().min(1).max(mostCounted);

/** The longest that a timer of Node waits, in ms, some 24 days: one that is set to more rings at once. */
export const longestTimer = 2 ** 31 - 1;

/** Bytes. */
export const size = withUnit(parseSize, 'must be a size such as 1MiB');

/** A name below the root of every cgroup hierarchy that is used. */
export const cgroup = z
  .string({ error: ({ input }) => (input === undefined ? 'is missing' : 'must be a text') })
  .regex(/^[0-9A-Za-z._-]+(\/[0-9A-Za-z._-]+)*$/, 'must be a name below the root of the hierarchy')
  .refine((name) => !name.split('/').some((part) => part === '.' || part === '..'), 'must not contain "." or ".."');

const known = { error: `must be full or a list of: ${permissionNames.join(' ')}` };
export const permissions = z.union(
  [z.literal('full'), z.array(z.enum(permissionNames as readonly [Permission], known))],
  known,
);

/** Where a console listens. */
export const listen = z.string().superRefine((url, context) => {
  try {
    parseAddress(url);
  } catch (error) {
    context.addIssue({ code: 'custom', message: messageOf(error) });
  }
});

/** The same, or null for what was refused as `listen` already. */
export function addressOf(url: string): Address | null {
  try {
    return parseAddress(url);
  } catch {
    return null;
  }
}

/** A problem with the field that has it. */
export function problemSentence({ path: names, atKey, message }: Problem): string {
  const around = atKey ? names.slice(0, -1) : names;
  return around.length === 0 ? message : `${around.join('.')}: ${message}`;
}

/** A text that stands for a number. */
export function withUnit(parse: (text: string) => number | null, message: string) {
  return z.string().transform((text, context) => {
    const value = parse(text);
    if (value === null) context.addIssue({ code: 'custom', message });
    return value ?? 0;
  });
}
