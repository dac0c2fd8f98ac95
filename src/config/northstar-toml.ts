// Northstar's own configuration, northstar.toml: every field of it, with Northstar's defaults.
import { parse, TomlError } from 'smol-toml';
import { z } from 'zod';
import { repositoryEntry } from '../../state/schema/build-desired.ts';
import { check, type Problem } from '../../state/schema/check-value.ts';
import { name } from '../../state/schema/document-schema.ts';
import { toTree } from '../../state/text/tree.ts';
import { parseLongDuration } from '../../state/schema/units.ts';
import { describeError } from '../../state/text/yaml.ts';
import { defaultPids, defaultSnapshot, northstarStateDir, type Configuration } from './configuration.ts';
import {
  addressOf,
  cgroup,
  listen,
  longestTimer,
  mostCounted,
  path,
  permissions,
  problemSentence,
  size,
  withUnit,
} from './config-fields.ts';
import { isLoopback, openToOthers } from '../console/protocol/address.ts';
import { tomlPlaces } from '../npk/manifest/toml-places.ts';
import { configurationError } from './configuration-error.ts';
import { defaultFetchSettings } from '../fetch/fetch-settings.ts';

/** Far more than any configuration nests. */
const deepest = 20;
/** Bytes that stand for one notification: what waits for a slow reader is counted in bytes here. */
const notificationSize = 1024;

const duration = withUnit(
  (text) => bounded(parseLongDuration(text), longestTimer),
  'must be a duration such as 10s or 1min 30s',
);
/** More than we do at once is as good as no limit to who wrote it: taken as the most that there is. */
const count = z
  .int()
  .min(1)
  .transform((number) => Math.min(number, mostCounted));
const capacity = z.int().min(0);

function bounded(value: number | null, most: number): number | null {
  return value === null ? null : Math.min(value, most);
}

/** Such a file has no certificates. */
function isSafe(url: string): boolean {
  const address = addressOf(url);
  return address?.kind !== 'tcp' || isLoopback(address.host);
}

const options = z
  .strictObject({
    token_validity: duration.prefault('60s'),
    max_requests_per_sec: count.default(1000),
    max_request_size: size.prefault('1MiB'),
    max_npk_install_size: size.prefault('256MiB'),
    npk_stream_timeout: duration.prefault('10s'),
  })
  .transform((given) => ({
    tokenValidity: given.token_validity,
    requestsPerSecond: given.max_requests_per_sec,
    requestSize: given.max_request_size,
    installSize: given.max_npk_install_size,
    installStall: given.npk_stream_timeout,
  }));

const repository = z.strictObject({
  type: z.union([z.literal('mem'), z.strictObject({ fs: z.strictObject({ dir: path }) })], {
    error: 'must be "mem" or { fs = { dir = "/path" } }',
  }),
  key: path.optional(),
  mount_on_start: z.boolean().default(false),
  capacity_num: capacity.optional(),
  capacity_size: size.optional(),
});

const northstar = z.strictObject({
  run_dir: path,
  data_dir: path,
  socket_dir: path,
  cgroup,
  // Our events are kept for nobody and dropped for nobody, so that this one changes nothing.
  event_buffer_size: count.default(256),
  notification_buffer_size: count.default(128),
  loop_device_timeout: duration.prefault('10s'),
  console: z
    .strictObject({
      global: z
        .strictObject({
          bind: listen.refine(isSafe, { error: ({ input }) => openToOthers(String(input)) }),
          permissions,
          options: options.prefault({}),
        })
        .optional(),
      options: options.prefault({}),
    })
    .prefault({}),
  repositories: z.map(name, repository).default(() => new Map()),
  debug: z.strictObject({ commands: z.array(z.string()).default([]) }).prefault({}),
});

/**
 * Reads the text of a northstar.toml. What its console commands last until the boot ends, since such a device comes up
 * from its packages. Throws ConfigurationError with line and column.
 */
export function readNorthstarToml(text: string, file: string): Configuration {
  const value = parseToml(text, file);
  const checked = check(northstar, toTree(JSON.parse(JSON.stringify(value))), []);
  if ('message' in checked) {
    throw configurationError(file, describeError(text, placeOf(checked, value, text), problemSentence(checked)));
  }
  const given = checked.value;
  const { global, options: limits } = given.console;
  const unread = given.notification_buffer_size * notificationSize;
  // What Northstar has no field for stays within the directories that it names. No container's name has an @.
  const own = `${given.data_dir}/@northstate`;
  return {
    desired: `${own}/desired.yaml`,
    seed: `${own}/seed.yaml`,
    documentKeys: [],
    compatible: null,
    stateDir: northstarStateDir(given.data_dir),
    dataDir: given.data_dir,
    runDir: given.run_dir,
    socketDir: given.socket_dir,
    cgroup: given.cgroup,
    // Northstar's clients find statistics of every container.
    accounting: true,
    console:
      global === undefined
        ? []
        : [
            {
              listen: global.bind,
              permissions: global.permissions,
              patches: 'boot',
              limits: { ...global.options, unread },
            },
          ],
    containerConsoles: { patches: 'boot', limits: { ...limits, unread } },
    repositories: [...given.repositories].map(([id, { type, key, mount_on_start, capacity_num, capacity_size }]) =>
      repositoryEntry(id, {
        type: type === 'mem' ? 'mem' : 'fs',
        dir: type === 'mem' ? undefined : type.fs.dir,
        mountOnStart: mount_on_start,
        capacity: { containers: capacity_num, size: capacity_size },
        key,
      }),
    ),
    pids: defaultPids,
    fetch: defaultFetchSettings,
    snapshot: defaultSnapshot,
    loopTimeout: given.loop_device_timeout,
    debug: given.debug,
    // As Northstar's: what containers print by `pipe` is in it.
    metrics: null,
    log: { level: 'debug', target: 'auto' },
    sleep: { after: 30_000 },
    bootPlan: 'auto',
    trial: null,
  };
}

/** Whether a text is meant as TOML: its first line that says something is `name = value` or a `[table]`. */
export function isToml(text: string): boolean {
  const first = text.split('\n').find((line) => line.trim() !== '' && !line.trim().startsWith('#')) ?? '';
  return /^\s*(?:[A-Za-z0-9_."'-]+\s*=|\[[^\]]+\]\s*(?:#.*)?$)/.test(first);
}

function parseToml(text: string, file: string): unknown {
  try {
    return parse(text, { maxDepth: deepest });
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const start = text.split('\n', error.line - 1).reduce((sum, line) => sum + line.length + 1, 0);
    const [message = ''] = error.message.split('\n', 1);
    throw configurationError(file, describeError(text, start + error.column - 1, message));
  }
}

/** Where the text says it, or where the nearest thing around it stands. */
function placeOf({ path: names }: Problem, value: unknown, text: string): number {
  const places = tomlPlaces(text);
  let inner = value;
  const steps = names.map((step) => {
    const at = Array.isArray(inner) ? Number(step) : step;
    inner = typeof inner === 'object' && inner !== null ? (inner as Record<string | number, unknown>)[at] : undefined;
    return at;
  });
  for (let length = steps.length; length > 0; length--) {
    const place = places(steps.slice(0, length));
    if (place !== null) return place;
  }
  return 0;
}
