// How a container is asked whether it is ready and alive, in a document and as a package's own defaults.
import { isIPv4, isIPv6 } from 'node:net';
import { z } from 'zod';
import { messageOf } from '../errno.ts';
import type { Health, Probe, ProbeTarget } from '../health.ts';
import { durationPattern, parseDuration } from './units.ts';

/** The longest paths that a probe takes: of HTTP, and of a socket (unix(7)). */
const longestPath = 255;
const longestSocket = 107;
const mostArguments = 64;
const longestArguments = 8192;

const span = (least: number) =>
  z
    .string()
    .regex(durationPattern, { error: 'a duration is a number with ms, s, m, h or d, such as 500ms' })
    .transform((given, context) => {
      const ms = parseDuration(given) ?? 0;
      const isGood = ms >= least && ms <= 86_400_000;
      if (!isGood) context.addIssue({ code: 'custom', message: `from ${least}ms to 1d` });
      return ms;
    });

const place = (longest: number) =>
  z
    .string()
    .regex(/^\/[^\0]*$/, { error: 'an absolute path is expected' })
    .max(longest);

/** Without a shell: the program and its arguments. */
const command = z
  .array(z.string().regex(/^[^\0]*$/, { error: 'a NUL character is not allowed' }))
  .min(1)
  .max(mostArguments)
  .refine((words) => words.join(' ').length <= longestArguments && words[0] !== '', {
    error: `a program and its arguments, at most ${longestArguments} characters together`,
  });

const tcp = z.string().transform((given, context): ProbeTarget => {
  const [, address = '', port = ''] = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(given)?.filter((part) => part) ?? [];
  return dialled(address, port, context) ?? z.NEVER;
});

const http = z.string().transform((given, context): ProbeTarget => {
  try {
    const url = new URL(given);
    const plain = url.protocol === 'http:' && url.username === '' && url.password === '' && url.hash === '';
    if (!plain || !/^http:\/\/[^/]/.test(given)) throw new Error('http://ADDRESS:PORT/PATH is expected');
    const path = `${url.pathname}${url.search}`;
    if (path.length > longestPath) throw new Error(`the path has more than ${longestPath} characters`);
    const found = dialled(url.hostname.replace(/^\[|\]$/g, ''), url.port === '' ? '80' : url.port, context);
    return found === null ? z.NEVER : { ...found, kind: 'http', path };
  } catch (error) {
    context.addIssue({ code: 'custom', message: messageOf(error) });
    return z.NEVER;
  }
});

/** Numbers only: a probe asks no name server. */
function dialled(address: string, port: string, context: z.RefinementCtx) {
  const isAddress = isIPv4(address) || isIPv6(address);
  if (isAddress && Number(port) >= 1 && Number(port) <= 65_535)
    return { kind: 'tcp', address, port: Number(port) } as const;
  const message = 'an address in numbers and a port are expected, such as 127.0.0.1:80 or [::1]:80';
  context.addIssue({ code: 'custom', message });
  return null;
}

const targets = { exec: command, tcp, http, unix: place(longestSocket), file: place(longestPath) };
const kinds = Object.keys(targets) as (keyof typeof targets)[];
const one = 'one of exec, tcp, http, unix, file is expected';

type StrictOrNot<C extends z.core.$ZodObjectConfig> = <T extends z.core.$ZodLooseShape>(shape: T) => z.ZodObject<T, C>;

const timeout = 2000;

/** `every`: how often it is asked when nothing is said; a process in the container costs the most. */
function probeWith<C extends z.core.$ZodObjectConfig>(object: StrictOrNot<C>, every: { exec: number; others: number }) {
  return object({
    exec: targets.exec.optional(),
    tcp: targets.tcp.optional(),
    http: targets.http.optional(),
    unix: targets.unix.optional(),
    file: targets.file.optional(),
    every: span(100).optional(),
    timeout: span(10).optional(),
    failures: z.int().min(1).max(1000).optional(),
  }).transform((given, context): Probe => {
    const fields = given as Readonly<Record<string, unknown>>;
    const named = kinds.filter((kind) => fields[kind] !== undefined);
    const [kind] = named;
    if (kind === undefined || named.length > 1) {
      context.addIssue({ code: 'custom', message: kind === undefined ? one : `${one}, and no more` });
      return z.NEVER;
    }
    return {
      target: targetOf(kind, fields[kind]),
      every: (fields['every'] as number | undefined) ?? (kind === 'exec' ? every.exec : every.others),
      timeout: (fields['timeout'] as number | undefined) ?? timeout,
      failures: (fields['failures'] as number | undefined) ?? 3,
    };
  });
}

function targetOf(kind: keyof typeof targets, given: unknown): ProbeTarget {
  if (kind === 'exec') return { kind, command: given as readonly string[] };
  if (kind === 'unix' || kind === 'file') return { kind, path: given as string };
  return given as ProbeTarget;
}

/** The schema whose objects are made by `object`: a document refuses what it does not know, a package is passed over. */
export function healthWith<C extends z.core.$ZodObjectConfig>(object: StrictOrNot<C>) {
  const ready = probeWith(object, { exec: 1000, others: 1000 });
  const alive = probeWith(object, { exec: 30_000, others: 10_000 });
  return object({
    ready: z.union([z.literal('notify'), ready], { error: `"notify", or a probe: ${one}` }).optional(),
    within: span(100).optional(),
    alive: alive.optional(),
    watchdog: span(100).optional(),
  }).transform((given, context): Health => {
    const {
      ready: first,
      within,
      alive: then,
      watchdog,
    } = given as {
      readonly ready?: Health['ready'];
      readonly within?: number;
      readonly alive?: Probe;
      readonly watchdog?: number;
    };
    if (within !== undefined && first === undefined) {
      context.addIssue({
        code: 'custom',
        path: ['within'],
        message: 'within needs ready: there is nothing to wait for',
      });
    }
    return { ready: first ?? null, within: within ?? null, alive: then ?? null, watchdog: watchdog ?? null };
  });
}

const ownSchema = healthWith(z.object);

/** A package's own defaults (`custom: northstate: health:`), or why they are none; null when there are none. */
export function ownHealth(custom: unknown): { readonly health: Health } | { readonly problem: string } | null {
  const northstate = memberOf(custom, 'northstate');
  const given = memberOf(northstate, 'health');
  if (given === undefined) return null;
  const checked = ownSchema.safeParse(given);
  if (!checked.success) {
    const [issue] = checked.error.issues;
    return { problem: `custom.northstate.health ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'is wrong'}` };
  }
  const foreign = [checked.data.ready, checked.data.alive].find((probe) => reachesOut(probe));
  if (foreign === undefined) return { health: checked.data };
  return { problem: 'custom.northstate.health: a package may ask loopback addresses only' };
}

function reachesOut(probe: Health['ready']): boolean {
  if (probe === null || probe === 'notify') return false;
  const { target } = probe;
  if (target.kind !== 'tcp' && target.kind !== 'http') return false;
  return !(target.address.startsWith('127.') || target.address === '::1');
}

function memberOf(value: unknown, name: string): unknown {
  if (value instanceof Map) return value.get(name);
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}
