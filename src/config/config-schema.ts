// The fields of the configuration file and their defaults. Loaded only when a file is read: zod takes its time.
import { z } from 'zod';
import { described } from '../../state/schema/describe-schema.ts';
import { configurationDescriptions } from './config-descriptions.ts';
import { repositoryEntry } from '../../state/schema/build-desired.ts';
import { check } from '../../state/schema/check-value.ts';
import { jsonSchemaOf, name, repositorySchema } from '../../state/schema/document-schema.ts';
import { plainName } from '../../state/schema/metadata-schema.ts';
import type { JsonSchema } from '../../state/schema/describe-schema.ts';
import { trialSchema } from '../../state/schema/trial-schema.ts';
import { parseDuration } from '../../state/schema/units.ts';
import { describeError, offsetOf, parseYaml, treeOfYaml, YamlError } from '../../state/text/yaml.ts';
import { bootPlanUses, defaultPids, defaultSnapshot, defaultStateDir, type Configuration } from './configuration.ts';
import {
  addressOf,
  cgroup,
  count,
  listen,
  longestTimer,
  path,
  permissions,
  problemSentence,
  size,
  withUnit,
} from './config-fields.ts';
import { defaultConsole, isLoopback, openToOthers } from '../console/protocol/address.ts';
import { defaultFetchSettings } from '../fetch/fetch-settings.ts';
import { isToml, readNorthstarToml } from './northstar-toml.ts';
import { configurationError } from './configuration-error.ts';
import { logLevels, logTargets } from '../logs/log-level.ts';

const duration = withUnit(parseDuration, 'must be a duration such as 10s').refine(
  (ms) => ms <= longestTimer,
  'must be at most 24d',
);

const limits = z.strictObject({
  requestsPerSecond: count.exactOptional(),
  requestSize: size.exactOptional(),
  installSize: size.exactOptional(),
  installStall: duration.exactOptional(),
  connectTimeout: duration.exactOptional(),
  unread: size.exactOptional(),
  memory: size.exactOptional(),
  connections: count.exactOptional(),
  tokenValidity: duration.exactOptional(),
});

/** PID_MAX_LIMIT of a 64-bit kernel (proc_sys_kernel(5), pid_max). */
const mostPids = 4_194_304;
const id = z.int().min(0).max(0xfffffffe);
const octal = z
  .string({ error: 'must be an octal number in quotes, such as "0660"' })
  .regex(/^0?[0-7]{3}$/, 'must be an octal number such as "0660"')
  .transform((text) => Number.parseInt(text, 8));

const socketFile = z.strictObject({ mode: octal.prefault('0600'), uid: id.default(0), gid: id.default(0) });

/** No permissions are the default: who opens a console says what it may. */
const listener = z
  .strictObject({
    listen,
    permissions,
    peers: z
      .array(
        z
          .strictObject({ uid: id.exactOptional(), gid: id.exactOptional(), permissions })
          .refine(({ uid, gid }) => uid !== undefined || gid !== undefined, 'must name a uid, a gid or both'),
      )
      .exactOptional(),
    file: socketFile.exactOptional(),
    tls: z.strictObject({ cert: path, key: path, ca: path }).exactOptional(),
    patches: z.enum(['document', 'boot']).default('document'),
    limits: limits.default({}),
  })
  .superRefine(({ listen: url, peers, file, tls }, context) => {
    const refuse = (field: string, message: string): void =>
      context.addIssue({ code: 'custom', path: [field], message });
    const address = addressOf(url);
    if (address === null) return;
    if (address.kind === 'unix') {
      if (tls !== undefined) refuse('tls', 'is for tcp:// only');
      return;
    }
    if (peers !== undefined) refuse('peers', 'is for unix:// only: nobody knows the user of a TCP connection');
    if (file !== undefined) refuse('file', 'is for unix:// only');
    if (tls === undefined && !isLoopback(address.host)) refuse('listen', openToOthers(url));
  });

/** Anybody on the machine can read what is on its loopback. */
const metrics = z.strictObject({ listen, file: socketFile.prefault({}) }).superRefine(({ listen: url }, context) => {
  const address = addressOf(url);
  if (address?.kind !== 'tcp' || isLoopback(address.host)) return;
  const message = `${url} could be reached by other machines: metrics are for unix:// and the loopback`;
  context.addIssue({ code: 'custom', path: ['listen'], message });
});

const fetchSettings = z
  .strictObject({
    proxy: z
      .string()
      .regex(/^http:\/\/[^\s/]+\/?$/, 'must be http://HOST:PORT')
      .nullable()
      .default(defaultFetchSettings.proxy),
    noProxy: z.array(z.string().regex(/^[^\s,]+$/, 'must be a host, .domain, host:port or *')).default([]),
    ca: path.nullable().default(null),
    cert: path.nullable().default(null),
    key: path.nullable().default(null),
    rate: size.nullable().default(null),
    stall: duration.default(defaultFetchSettings.stall),
  })
  .superRefine(({ cert, key, rate }, context) => {
    const refuse = (field: string, message: string): void =>
      context.addIssue({ code: 'custom', path: [field], message });
    if ((cert === null) !== (key === null)) refuse(cert === null ? 'cert' : 'key', 'cert and key belong together');
    if (rate === 0) refuse('rate', 'must be more than nothing a second');
  });

const schema = z.strictObject({
  desired: path.default('/var/lib/northstate/desired.yaml'),
  seed: path.default('/etc/northstate/desired.yaml'),
  documentKeys: z.array(path).default([]),
  compatible: plainName.nullable().default(null),
  stateDir: path.default(defaultStateDir),
  dataDir: path.default('/var/lib/northstate/data'),
  runDir: path.default('/run/northstate'),
  socketDir: path.default('/run/northstate/sockets'),
  cgroup: cgroup.default('auto'),
  accounting: z.boolean().default(false),
  console: z
    .array(listener)
    .default([{ listen: defaultConsole, permissions: 'full', patches: 'document', limits: {} }]),
  containerConsoles: z
    .strictObject({ patches: z.enum(['document', 'boot']).default('document'), limits: limits.default({}) })
    .default({ patches: 'document', limits: {} }),
  repositories: z.map(name, repositorySchema).default(() => new Map()),
  pids: z.int().min(-1).max(mostPids).default(defaultPids),
  fetch: fetchSettings.prefault({}),
  snapshot: z
    .strictObject({
      size: size.default(defaultSnapshot.bytes),
      files: count.default(defaultSnapshot.entries),
      within: duration.default(defaultSnapshot.time),
    })
    .transform(({ size: bytes, files: entries, within: time }) => ({ bytes, entries, time }))
    .prefault({}),
  loopTimeout: duration.prefault('10s'),
  metrics: metrics.nullable().default(null),
  debug: z.strictObject({ commands: z.array(z.string()).default([]) }).default({ commands: [] }),
  log: z
    .strictObject({ level: z.enum(logLevels).default('info'), target: z.enum(logTargets).default('auto') })
    .default({ level: 'info', target: 'auto' }),
  sleep: z
    .strictObject({ after: z.union([z.literal('never').transform(() => null), duration]).prefault('30s') })
    .prefault({}),
  bootPlan: z.enum(bootPlanUses).default('auto'),
  trial: trialSchema.nullable().default(null),
});

/** The JSON Schema (draft 2020-12) of config.yaml, for editors. */
export function configurationJsonSchema(): JsonSchema {
  return { title: 'Configuration of northstate', ...described(jsonSchemaOf(schema), configurationDescriptions) };
}

/** Checks a text, which is YAML or a northstar.toml; throws ConfigurationError at the first thing that is wrong. */
export function checkConfiguration(text: string, file: string): Configuration {
  return isToml(text) ? readNorthstarToml(text, file) : checkYaml(text, file);
}

function checkYaml(text: string, file: string): Configuration {
  try {
    const yaml = parseYaml(text);
    // A text without a word, or with comments only, says nothing.
    const checked = check(schema, treeOfYaml(yaml, null) ?? new Map(), []);
    if ('message' in checked) {
      throw new YamlError(offsetOf(yaml, checked.path, checked.atKey), problemSentence(checked));
    }
    const { repositories, ...others } = checked.value;
    return { ...others, repositories: [...repositories].map(([id, given]) => repositoryEntry(id, given)) };
  } catch (error) {
    if (!(error instanceof YamlError)) throw error;
    throw configurationError(file, describeError(text, error.offset, error.message));
  }
}
