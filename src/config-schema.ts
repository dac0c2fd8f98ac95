// The fields of the configuration file and their defaults. Loaded only when a file is read: zod takes its time.
import { z } from 'zod';
import { toJson } from '../state/store.ts';
import { parseDuration, parseSize } from '../state/units.ts';
import { describeError, offsetOf, parseYaml, treeOfYaml, YamlError, type YamlText } from '../state/yaml.ts';
import { ConfigurationError, logLevels, type Configuration } from './config.ts';
import { defaultConsole, socketPath } from './console/address.ts';
import { permissionNames, type Permission } from './console/permissions.ts';

const path = z.string().regex(/^\/[^\0]{0,4095}$/, 'must be an absolute path');
const count = z.int().min(1).max(1_000_000);
const size = withUnit(parseSize, 'must be a size such as 1MiB');
const duration = withUnit(parseDuration, 'must be a duration such as 10s');

const limits = z.strictObject({
  requestsPerSecond: count.exactOptional(),
  requestSize: size.exactOptional(),
  installSize: size.exactOptional(),
  installStall: duration.exactOptional(),
  connectTimeout: duration.exactOptional(),
  unread: size.exactOptional(),
  connections: count.exactOptional(),
});

const listen = z.string().superRefine((url, context) => {
  try {
    socketPath(url);
  } catch (error) {
    context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : String(error) });
  }
});

const permissions = z.union([z.literal('full'), z.array(z.enum(permissionNames as readonly [Permission]))], {
  error: `must be full or a list of: ${permissionNames.join(' ')}`,
});

/** No permissions are the default: who opens a console says what it may. */
const listener = z.strictObject({
  listen,
  permissions,
  patches: z.enum(['document', 'boot']).default('document'),
  limits: limits.default({}),
});

const schema = z.strictObject({
  desired: path.default('/var/lib/northstate/desired.yaml'),
  seed: path.default('/etc/northstate/desired.yaml'),
  stateDir: path.default('/var/lib/northstate/state'),
  dataDir: path.default('/var/lib/northstate/data'),
  runDir: path.default('/run/northstate'),
  socketDir: path.default('/run/northstate/sockets'),
  cgroup: z
    .string()
    .regex(/^[0-9A-Za-z._-]+(\/[0-9A-Za-z._-]+)*$/, 'must be a name below the root of the hierarchy')
    .refine((name) => !name.split('/').some((part) => part === '.' || part === '..'), 'must not contain "." or ".."')
    .default('northstate'),
  console: z
    .array(listener)
    .default([{ listen: defaultConsole, permissions: 'full', patches: 'document', limits: {} }]),
  log: z.strictObject({ level: z.enum(logLevels).default('info') }).default({ level: 'info' }),
});

/** Checks a text; throws ConfigurationError at the first thing that is wrong. */
export function checkConfiguration(text: string, file: string): Configuration {
  if (isToml(text)) {
    throw new ConfigurationError(
      `configuration ${file}: this is a northstar.toml, which is not read yet; write it as YAML`,
    );
  }
  if (text.trim() === '') return schema.parse({});
  let yaml: YamlText | null = null;
  try {
    yaml = parseYaml(text);
    const result = schema.safeParse(toJson(treeOfYaml(yaml, null)) ?? {});
    if (result.success) return result.data;
    const [issue] = result.error.issues;
    const names = (issue?.path ?? []).map(String);
    if (issue?.code !== 'unrecognized_keys')
      throw new YamlError(offsetOf(yaml, names, false), sentence(names, issue?.message));
    const [key = ''] = issue.keys;
    throw new YamlError(offsetOf(yaml, [...names, key], true), `there is no field ${[...names, key].join('.')}`);
  } catch (error) {
    if (!(error instanceof YamlError)) throw error;
    const { line, column, excerpt, message } = describeError(text, error.offset, error.message);
    throw new ConfigurationError(`configuration ${file}, line ${line}, column ${column}: ${message}`, {
      line,
      column,
      excerpt,
    });
  }
}

function sentence(path: readonly string[], message = 'is wrong'): string {
  return path.length === 0 ? message : `${path.join('.')}: ${message}`;
}

/** Northstar's own configuration is TOML: its first line that says something is `name = value` or a `[table]`. */
function isToml(text: string): boolean {
  const first = text.split('\n').find((line) => line.trim() !== '' && !line.trim().startsWith('#')) ?? '';
  return /^\s*(?:[A-Za-z0-9_-]+\s*=|\[[^\]]+\]\s*$)/.test(first);
}

function withUnit(parse: (text: string) => number | null, message: string) {
  return z.string().transform((text, context) => {
    const value = parse(text);
    if (value === null) context.addIssue({ code: 'custom', message });
    return value ?? 0;
  });
}
