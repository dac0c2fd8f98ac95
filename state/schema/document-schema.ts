// The schema of the document: every field, its form and its default. What the fields mean stands in README.md.
import { z } from 'zod';
import { healthWith } from './health-schema.ts';
import { scheduleSchema } from './schedule-schema.ts';
import { cgroupsSchema, oomScoreSchema, rlimitsSchema } from './manifest.ts';
import { durationPattern, parseDuration, parseSize, sizePattern } from './units.ts';
import { described, type JsonSchema } from './describe-schema.ts';
import { documentDescriptions } from './descriptions.ts';
import { metadataSchema } from './metadata-schema.ts';
import { signals } from '../signals.ts';
import { parseRequirement } from '../version.ts';
import { messageOf } from '../errno.ts';
import { isRemote } from '../source.ts';
import { trialSchema } from './trial-schema.ts';

export const name = z.string().regex(/^(?!\.{1,2}$)[0-9A-Za-z._-]{1,1024}$/, {
  error: 'a name is 1 to 1024 of 0-9 A-Z a-z . _ - and neither "." nor ".."',
});
export const containerKey = z
  .string()
  .regex(/^(?!\.{1,2}(?::|$))[0-9A-Za-z._-]{1,1024}(?::(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)\.(?:0|[1-9]\d*))?$/, {
    error:
      'a container is named by 1 to 1024 of 0-9 A-Z a-z . _ - (neither "." nor ".."), or by name:major.minor.patch',
  });
const text = z.string().regex(/^[^\0]*$/, { error: 'a NUL character is not allowed' });
const path = z.string().regex(/^[^\0]{1,4096}$/, { error: 'a path has 1 to 4096 characters and no NUL' });
const absolutePath = z.string().regex(/^\/[^\0]{0,4095}$/, { error: 'an absolute path is expected' });
const source = z
  .string()
  .regex(/^(?:\/[^\0]{0,4095}|https?:\/\/[^\s/?@#]{1,255}(?:[/?][\x21\x22\x24-\x7e]{0,2000})?)$/, {
    error: 'an absolute path or an https:// address is expected, without a name, a password or a fragment (#)',
  })
  .refine((given) => !isRemote(given) || URL.canParse(given), 'the address cannot be read');
const variable = z.string().regex(/^(?!NORTHSTAR_(?:NAME|VERSION|CONTAINER|CONSOLE)$)[^=\0]{1,64}$/, {
  error: 'a variable has 1 to 64 characters without "=", and is none of NORTHSTAR_NAME, _VERSION, _CONTAINER, _CONSOLE',
});
const value = z.string().regex(/^[^\0]{0,1024}$/, { error: 'a value has at most 1024 characters and no NUL' });

const requirement = z.string().superRefine((given, context) => {
  try {
    parseRequirement(given);
  } catch (error) {
    context.addIssue({ code: 'custom', message: messageOf(error) });
  }
});

const duration = z
  .string()
  .regex(durationPattern, { error: 'a duration is a number with ms, s, m, h or d, such as 500ms' })
  .transform((given) => parseDuration(given) ?? 0);

const size = z.union(
  [
    z.int().min(0),
    z
      .string()
      .regex(sizePattern)
      .transform((given, context) => {
        const bytes = parseSize(given);
        if (bytes === null) context.addIssue({ code: 'custom', message: 'too large' });
        return bytes ?? 0;
      }),
  ],
  { error: 'a size is a number of bytes, or one with k M G T Ki Mi Gi Ti, such as 100MB' },
);

const signalNames = [...signals.keys()];
const signal = z.union(
  [
    z.int().min(1).max(31),
    z
      .enum([...signalNames, ...signalNames.map((signalName) => `SIG${signalName}`)])
      .transform((given) => signals.get(given.replace(/^SIG/, '')) ?? 0),
  ],
  { error: 'a signal is a number from 1 to 31, or a name such as TERM' },
);

const restart = z
  .strictObject({
    policy: z.enum(['always', 'on-failure', 'never']).optional(),
    backoff: duration.prefault('500ms'),
    maxBackoff: duration.prefault('5m'),
    resetAfter: duration.prefault('10m'),
    limit: z.int().min(0).max(1_000_000).default(0),
  })
  .superRefine(({ backoff, maxBackoff }, context) => {
    if (maxBackoff >= backoff) return;
    const message = `maxBackoff (5m unless it is given) must not be below backoff: ${maxBackoff}ms is below ${backoff}ms`;
    context.addIssue({ code: 'custom', path: ['maxBackoff'], message });
  });

const run = z.union(
  [
    z.int().min(0),
    z.strictObject({
      id: z.int().min(0),
      init: path.optional(),
      args: z.array(text).optional(),
      env: z.map(variable, value).optional(),
    }),
  ],
  { error: 'a run is a whole number, or a map with id, init, args and env' },
);

export const containerSchema = z.strictObject({
  version: requirement.optional(),
  state: z.enum(['absent', 'installed', 'mounted', 'running']).default('running'),
  source: source.optional(),
  digest: z
    .string()
    .regex(/^sha256:[0-9a-f]{64}$/, { error: 'a digest is sha256: and 64 hexadecimal digits in lower case' })
    .optional(),
  repository: name.optional(),
  restart: restart.prefault({}),
  stop: z.strictObject({ signal: signal.prefault('TERM'), grace: duration.prefault('10s') }).prefault({}),
  dependsOn: z.map(name, z.enum(['running', 'ready', 'succeeded'])).default(() => new Map()),
  restartWith: z.array(name).default([]),
  health: healthWith(z.strictObject).optional(),
  settle: duration.prefault('2s'),
  timeout: duration
    .refine((ms) => ms >= 100, { error: 'at least 100ms: left out, a run may last for ever' })
    .optional(),
  schedule: scheduleSchema.optional(),
  env: z.map(variable, value.nullable()).default(() => new Map()),
  args: z.array(text).optional(),
  init: path.optional(),
  cgroups: cgroupsSchema.optional(),
  rlimits: rlimitsSchema.optional(),
  oomScoreAdj: oomScoreSchema.optional(),
  run: run.optional(),
  prepare: z.union([z.boolean(), z.literal('auto')]).default('auto'),
  paused: z.boolean().default(false),
  update: z.enum(['manual', 'automatic']).default('manual'),
  lock: z
    .strictObject({ max: duration, file: absolutePath.optional() })
    .transform(({ max, file = null }) => ({ max, file }))
    .optional(),
  persist: z.strictObject({ snapshot: z.boolean().default(false) }).prefault({}),
});

export const repositorySchema = z
  .strictObject({
    type: z.enum(['fs', 'mem']),
    dir: absolutePath.optional(),
    mountOnStart: z.boolean().default(false),
    capacity: z.strictObject({ containers: z.int().min(0).optional(), size: size.optional() }).prefault({}),
    key: z
      .union([absolutePath, z.array(absolutePath).min(1)], {
        error: 'a key is the path of a key file, or a list of them',
      })
      .optional(),
    integrity: z.enum(['dm-verity', 'full-check']).optional(),
  })
  .superRefine(({ type, dir, key, integrity }, context) => {
    const wrong = (field: string[], message: string) => context.addIssue({ code: 'custom', path: field, message });
    if (type === 'fs' && dir === undefined) wrong([], 'a repository of type fs needs a dir');
    if (type === 'mem' && dir !== undefined) wrong(['dir'], 'a repository of type mem has no dir');
    if (integrity !== undefined && key === undefined) {
      wrong(['integrity'], 'integrity needs a key: without one there is nothing to check against');
    }
  });

/** The document. Its maps of names are Maps: z.record drops the name `__proto__`. */
export const documentSchema = z.strictObject({
  apiVersion: z.literal('northstate/v1'),
  metadata: metadataSchema.nullable().optional(),
  repositories: z.map(name, repositorySchema).nullable().optional(),
  containers: z.map(containerKey, containerSchema).nullable().optional(),
  autostart: z.enum(['run', 'ignore']).default('run'),
  trial: trialSchema.optional(),
});

const cache = new Map<z.ZodType, JsonSchema>();

let shown: JsonSchema | null = null;

/** The JSON Schema of what may be written in a document, for editors. */
export function documentJsonSchema(): JsonSchema {
  return (shown ??= described(jsonSchemaOf(documentSchema), documentDescriptions));
}

/** The JSON Schema of the input of a zod schema; a map of names is an object with any member. */
export function jsonSchemaOf(schema: z.ZodType): JsonSchema {
  const known = cache.get(schema);
  if (known !== undefined) return known;
  const made = z.toJSONSchema(schema, {
    io: 'input',
    unrepresentable: 'any',
    override: ({ zodSchema, jsonSchema }) => {
      // A number of JSON has no upper bound; those of a bigint cannot be written without losing digits.
      if (zodSchema instanceof z.ZodBigInt) Object.assign(jsonSchema, { type: 'integer', minimum: 0 });
      if (!(zodSchema instanceof z.ZodMap)) return;
      const { $schema: _keys, ...propertyNames } = jsonSchemaOf(zodSchema.keyType as z.ZodType);
      const { $schema: _members, ...additionalProperties } = jsonSchemaOf(zodSchema.valueType as z.ZodType);
      Object.assign(jsonSchema, { type: 'object', propertyNames, additionalProperties });
    },
  }) as JsonSchema;
  cache.set(schema, made);
  return made;
}
