// Limits of control groups and processes, as a manifest and a document give them.
import { z } from 'zod';
import { rlimitNames } from '../names.ts';
import { listPattern, problemOfSet } from './number-list.ts';

const unsigned = z.int().min(0);
const fileName = z.string().regex(/^(?!\.{1,2}$)[^/\0]{1,255}$/, 'must be a plain file name');
const group = z
  .string()
  .min(1)
  .max(4096)
  .refine((text) => !text.includes('\0') && !text.split('/').includes('..'), 'must not contain ".."');

/** A package does not say for which host it is. */
const anySets = { cpus: z.string(), mems: z.string() };
const setOf = (kind: Parameters<typeof problemOfSet>[0]) =>
  z
    .string()
    .regex(listPattern, `a list of ${kind} is expected, such as 0-1,3`)
    .superRefine((given, context) => {
      const message = problemOfSet(kind, given);
      if (message !== null) context.addIssue({ code: 'custom', message });
    });
const setsOfThisHost = { cpus: setOf('processors'), mems: setOf('memory nodes') };

type StrictOrNot<C extends z.core.$ZodObjectConfig> = <T extends z.core.$ZodLooseShape>(shape: T) => z.ZodObject<T, C>;

/** The schema of `cgroups` whose objects are made by `object`: in packages unknown fields are dropped, in documents refused. */
export function cgroupsWith<C extends z.core.$ZodObjectConfig>(object: StrictOrNot<C>, { cpus, mems } = anySets) {
  const device = { major: unsigned, minor: unsigned };
  const rates = z.array(object({ ...device, rate: unsigned }));
  const attrs = z.record(fileName, z.string()).optional();
  return object({
    parent: group.optional(),
    blkio: object({
      weight: unsigned.optional(),
      leaf_weight: unsigned.optional(),
      weight_device: z.array(object({ ...device, weight: unsigned.optional(), leaf_weight: unsigned.optional() })),
      throttle_read_bps_device: rates,
      throttle_read_iops_device: rates,
      throttle_write_bps_device: rates,
      throttle_write_iops_device: rates,
      attrs,
    }).optional(),
    cpu: object({
      cpus: cpus.optional(),
      mems: mems.optional(),
      shares: unsigned.optional(),
      quota: z.int().optional(),
      period: unsigned.optional(),
      realtime_runtime: z.int().optional(),
      realtime_period: unsigned.optional(),
      attrs,
    }).optional(),
    memory: object({
      oom_monitor: z.boolean().default(false),
      kernel_memory_limit: z.int().optional(),
      memory_hard_limit: z.int().optional(),
      memory_soft_limit: z.int().optional(),
      kernel_tcp_memory_limit: z.int().optional(),
      memory_swap_limit: z.int().optional(),
      swappiness: unsigned.optional(),
      attrs,
    }).optional(),
    /** Processes and threads in the group, -1 = no limit. */
    pids: object({ max: z.int().optional(), attrs }).optional(),
  });
}

/** The schema of `rlimits`, in the same way. */
export function rlimitsWith<C extends z.core.$ZodObjectConfig>(object: StrictOrNot<C>) {
  const limit = object({ soft: unsigned.nullable().default(null), hard: unsigned.nullable().default(null) }).optional();
  return z.strictObject(
    Object.fromEntries(rlimitNames.map((name) => [name, limit])) as Record<(typeof rlimitNames)[number], typeof limit>,
  );
}

/** `cgroups` as a document may give them: unknown fields are errors. Limits in bytes, -1 = none; quota and periods in µs. */
export const cgroupsSchema = cgroupsWith(z.strictObject, setsOfThisHost);
/** `rlimits` as a document may give them: unknown fields are errors; null = unlimited (RLIM_INFINITY). */
export const rlimitsSchema = rlimitsWith(z.strictObject).superRefine((limits, context) => {
  for (const [name, message] of softAboveHard(limits)) context.addIssue({ code: 'custom', path: [name], message });
});

/** The limits that setrlimit(2) refuses (EINVAL), and why: name -> message. */
export function softAboveHard(
  limits: z.output<ReturnType<typeof rlimitsWith>>,
): readonly (readonly [string, string])[] {
  return Object.entries(limits).flatMap(([name, limit]) => {
    const { soft, hard } = limit ?? { soft: null, hard: null };
    if (hard === null || (soft !== null && soft <= hard)) return [];
    return [[name, `the soft limit (${soft ?? 'unlimited'}) is above the hard one (${hard})`] as const];
  });
}

/** oom_score_adj(5), above the runtime's own -900: what runs in a container goes before what keeps it. */
export const oomScoreSchema = z.int().min(-899).max(1000);

export type Cgroups = z.output<typeof cgroupsSchema>;
export type Rlimits = z.output<typeof rlimitsSchema>;
