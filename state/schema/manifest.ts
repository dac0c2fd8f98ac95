// The manifest of a package, in the form that everything else works with: fields as in Northstar's manifest, absent
// ones undefined, empty collections absent, maps of names as Map (`__proto__` is a name), today's dialect.
import { posix } from 'node:path';
import { z } from 'zod';
import { cgroupsWith, oomScoreSchema, rlimitsWith } from './limits.ts';
import { capabilityNames, mountOptions, permissions, type Permission } from '../names.ts';
import { parseRequirement, parseVersion } from '../version.ts';
import { messageOf } from '../errno.ts';

const reserved = ['NORTHSTAR_NAME', 'NORTHSTAR_VERSION', 'NORTHSTAR_CONTAINER', 'NORTHSTAR_CONSOLE'];

const bytes = (text: string): number => Buffer.byteLength(text);
const noNul = z.string().refine((text) => !text.includes('\0'), 'must not contain a NUL');
const path = noNul.refine((text) => text.length > 0 && bytes(text) <= 4096, 'must be 1 to 4096 bytes long');
const absolutePath = path.refine((text) => text.startsWith('/'), 'must be absolute');
/** A manifest's uid and gid are never 0: nothing that is made for its container belongs to root. */
const socketOwner = z
  .int()
  .max(65535)
  .refine((owner) => owner > 0, "must not be root's: the container does not run as root")
  .optional();
/** The params of an issue about a name that would reach what is outside of its place. */
export const leadsOutside = { leadsOutside: true };
const inside = { params: leadsOutside };
const fileName = z
  .string()
  .regex(/^[^\0]{1,255}$/, 'must be 1 to 255 characters')
  .refine((text) => !text.includes('/') && text !== '.' && text !== '..', {
    error: 'must be a plain file name',
    ...inside,
  });
const container = z
  .string()
  .regex(/^[0-9A-Za-z._-]{1,1024}$/, 'must be 1 to 1024 characters of 0-9 A-Z a-z . _ -')
  .refine((text) => text !== '.' && text !== '..', { error: 'must not be "." or ".."', ...inside });
const id = z.int().min(1).max(65535);
const unsigned64 = z
  .bigint()
  .min(0n)
  .max(2n ** 64n - 1n);
const version = z.string().transform(checked(parseVersion));
const requirement = z.string().transform(checked((text) => parseRequirement(text).text));

/** One alternative of a seccomp rule: a 64-bit argument that is one of `values`, or has no bit outside `mask`. */
const condition = z
  .strictObject({
    index: z.int().min(0).max(5),
    values: z.array(unsigned64).max(50).optional(),
    mask: unsigned64.optional(),
  })
  .refine(({ values, mask }) => values !== undefined || mask !== undefined, 'needs values or mask');

const options = z
  .string()
  .transform((text) => (text === '' ? [] : text.split(',').map((option) => option.trim())))
  .pipe(z.array(z.enum(mountOptions)))
  .transform((given) => (given.length === 0 ? undefined : unique(given)))
  .optional();

const mount = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('bind'), host: path, options }),
  z.object({ type: z.literal('dev') }),
  z.object({ type: z.literal('persist') }),
  z.object({ type: z.literal('proc') }),
  z.object({ type: z.literal('sysfs') }),
  z.object({ type: z.literal('sockets') }),
  z.strictObject({
    type: z.literal('resource'),
    name: container,
    version: requirement,
    dir: absolutePath.refine(staysInside, { error: 'must not contain ".."', ...inside }),
    options: options.refine((given) => given?.includes('rec') !== true, 'a resource takes no "rec"'),
  }),
  z.strictObject({ type: z.literal('tmpfs'), size: z.string().transform(checked(parseSize)) }),
]);

const target = absolutePath.refine(staysInside, { error: 'must not contain ".."', ...inside });

// Northstar passes over unknown fields in here, and so in what holds them.
const nice = z.object({ nice: z.int().min(-20).max(19).default(0) });
const priority = z.object({ priority: z.int().min(1).max(99) });
const label = z.string().regex(/^[A-Za-z0-9:_]+$/, 'must be letters, digits, ":" and "_"');
const output = z.enum(['discard', 'pipe', 'inherit']);

/** What a manifest may hold, after variants, scalars and the older dialect were brought into one form. */
export const manifestSchema = z
  .strictObject({
    name: container,
    version,
    console: z
      .strictObject({
        permissions: z.union(
          [z.literal('full'), z.array(z.enum(permissions)).transform(fullOrSome)],
          'must be full or a list',
        ),
      })
      .optional(),
    init: path.optional(),
    args: z.array(noNul).optional(),
    env: z
      .map(
        noNul.refine((name) => bytes(name) <= 64 && !name.includes('='), 'must be at most 64 bytes without "="'),
        noNul.refine((value) => bytes(value) <= 1024, 'must be at most 1024 bytes long'),
      )
      .refine((env) => env.size <= 64, 'must be at most 64 variables')
      .refine((env) => !reserved.some((name) => env.has(name)), `must not set ${reserved.join(', ')}`)
      .optional(),
    uid: id,
    gid: id,
    sched: z
      .object({
        policy: z.union(
          [
            z.enum(['idle', 'deadline']),
            z.strictObject({ other: nice }),
            z.strictObject({ batch: nice }),
            z.strictObject({ fifo: priority }),
            z.strictObject({ round_robin: priority }),
          ],
          'must be idle, deadline, or one of other, batch, fifo and round_robin with its content',
        ),
      })
      .optional(),
    mounts: z
      .map(target, mount)
      .transform(checked(oneSpelling))
      .refine(noBindInAnother, 'a bind must not lie in another')
      .optional(),
    autostart: z.enum(['relaxed', 'critical']).optional(),
    cgroups: cgroupsWith(z.object).optional(),
    network: z
      .union([z.literal('host'), z.strictObject({ namespace: fileName })], 'must be host, or namespace with a name')
      .optional(),
    seccomp: z
      .strictObject({
        profile: z.literal('default').optional(),
        allow: z
          .map(
            z.string().min(1).max(64),
            z.union(
              [z.literal('any'), z.strictObject({ args: z.union([condition, z.array(condition).min(1).max(16)]) })],
              'must be any, or args with a condition',
            ),
          )
          .optional(),
      })
      .optional(),
    selinux: z.strictObject({ mount_context: label.optional(), exec: label.optional() }).optional(),
    capabilities: z.array(z.enum(capabilityNames)).refine(allDifferent, 'must not repeat one').optional(),
    suppl_groups: z
      .array(noNul.refine((name) => name !== '' && bytes(name) <= 64, 'must be 1 to 64 bytes long'))
      .max(64)
      .refine(allDifferent, 'must not repeat one')
      .optional(),
    rlimits: rlimitsWith(z.object).optional(),
    oom_score_adj: oomScoreSchema.optional(),
    sockets: z
      .map(
        fileName,
        z.strictObject({
          type: z.enum(['stream', 'datagram', 'seq_packet']),
          mode: z.int().min(0).max(0o7777),
          uid: socketOwner,
          gid: socketOwner,
          passcred: z.boolean().optional(),
        }),
      )
      .optional(),
    io: z.strictObject({ stdout: output, stderr: output }).optional(),
    custom: z.unknown().optional(),
  })
  .transform(withoutEmpty)
  .superRefine(resourceSetsNothing);

export { cgroupsSchema, oomScoreSchema, rlimitsSchema, type Cgroups, type Rlimits } from './limits.ts';
export type { Capability, MountOption, Permission } from '../names.ts';
export type Manifest = Readonly<z.output<typeof manifestSchema>>;
export type Mount = z.output<typeof mount>;
export type SeccompCondition = z.output<typeof condition>;
/** A list holds alternatives, any of which lets the call in; only the older dialect can say more than one. */
export type SeccompRule = 'any' | { readonly args: SeccompCondition | readonly SeccompCondition[] };

/** Bytes: a whole number with k M G T (decimal) or Ki Mi Gi Ti, "B" optional, in any case. Throws on anything else. */
export function parseSize(text: string): number {
  const found = /^(\d{1,16})\s*(?:([kmgt])(i?))?b?$/i.exec(text.trim());
  const power = found?.[2] === undefined ? 0 : 'kmgt'.indexOf(found[2].toLowerCase()) + 1;
  const size = Number(found?.[1] ?? Number.NaN) * (found?.[3] === '' ? 1000 : 1024) ** power;
  if (!Number.isSafeInteger(size))
    throw new Error(`"${text.slice(0, 64)}" is not a size: expected for example 20M or 64KiB`);
  return size;
}

/** Turns a function that throws on bad input into a zod transform that reports it. */
function checked<In, Out>(parse: (value: In) => Out) {
  return (value: In, context: z.RefinementCtx<In>): Out => {
    try {
      return parse(value);
    } catch (error) {
      context.addIssue({ code: 'custom', message: messageOf(error) });
      return z.NEVER;
    }
  };
}

function unique<T>(items: readonly T[]): T[] {
  return [...new Set(items)];
}

function fullOrSome(given: readonly Permission[]): 'full' | Permission[] {
  const some = unique(given);
  return some.length === permissions.length ? 'full' : some;
}

function allDifferent(items: readonly unknown[]): boolean {
  return new Set(items).size === items.length;
}

function staysInside(path: string): boolean {
  return !path.split('/').includes('..');
}

type Mounts = Map<string, z.output<typeof mount>>;

/** Targets in one spelling, so that they can be compared and sorted. */
function oneSpelling(mounts: Mounts): Mounts {
  const spelt = new Map([...mounts].map(([at, each]) => [posix.resolve('/', at), each]));
  if (spelt.size !== mounts.size) throw new Error('two mounts have the same target');
  return spelt;
}

function noBindInAnother(mounts: Mounts): boolean {
  const binds = [...mounts].filter(([, { type }]) => type === 'bind').map(([at]) => (at === '/' ? at : `${at}/`));
  // In this order what lies in a directory comes right behind it.
  return binds.sort().every((bind, index) => index === 0 || !bind.startsWith(binds[index - 1] ?? ''));
}

/** An empty list or map says the same as none; all permissions are "full". */
function withoutEmpty<T extends Readonly<Record<string, unknown>>>(manifest: T): T {
  const entries = Object.entries(manifest).filter(([field, value]) => {
    if (value === undefined) return false;
    if (Array.isArray(value)) return value.length > 0 || field === 'custom';
    if (value instanceof Map) return value.size > 0;
    return field !== 'rlimits' || Object.keys(value ?? {}).length > 0;
  });
  return Object.fromEntries(entries) as T;
}

const onlyWithInit = ['args', 'env', 'autostart', 'cgroups', 'seccomp', 'capabilities', 'suppl_groups', 'io'];

/** A resource container (no init) has nothing that could be run with these. */
function resourceSetsNothing(manifest: object, context: z.RefinementCtx): void {
  if ('init' in manifest) return;
  for (const field of onlyWithInit) {
    if (field in manifest) {
      context.addIssue({ code: 'custom', path: [field], message: 'needs an init: this is a resource container' });
    }
  }
}
