// northstate config: the settings that are in force, in the form of a config.yaml.
import { stringify } from 'yaml';
import type { RepositoryEntry } from '../../state/desired.ts';
import type { Configuration } from '../config/configuration.ts';
import { Failure } from './exit.ts';
import { defaultLimits, type Limits } from '../console/protocol/console-limits.ts';
import { ConfigurationError } from '../config/configuration-error.ts';
import { readConfiguration } from '../config/read-configuration.ts';

/** Prints the effective configuration, defaults and what a northstar.toml means included; `run --config` reads it again. */
export async function config({ config: file, output }: { config?: string; output: 'yaml' | 'json' }): Promise<void> {
  const found = written(await read(file));
  process.stdout.write(output === 'json' ? `${JSON.stringify(found, null, 2)}\n` : stringify(found));
}

async function read(file: string | undefined): Promise<Configuration> {
  try {
    return await readConfiguration(file);
  } catch (error) {
    if (error instanceof ConfigurationError) throw new Failure(error.message);
    throw error;
  }
}

/** The fields as a file has them: times and sizes with their units, limits that nobody set as they are by default. */
function written({ repositories, fetch, snapshot, loopTimeout, metrics, sleep, ...others }: Configuration): object {
  return {
    ...others,
    console: others.console.map(({ file, ...listener }) => ({
      ...listener,
      ...(file !== undefined && { file: { ...file, mode: `0${file.mode.toString(8)}` } }),
      limits: limitsOf(listener.limits),
    })),
    containerConsoles: { ...others.containerConsoles, limits: limitsOf(others.containerConsoles.limits) },
    repositories: Object.fromEntries(repositories.map((each) => [each.id, repositoryOf(each)])),
    fetch: { ...fetch, rate: fetch.rate === null ? null : `${fetch.rate}B`, stall: `${fetch.stall}ms` },
    snapshot: { size: `${snapshot.bytes}B`, files: snapshot.entries, within: `${snapshot.time}ms` },
    loopTimeout: `${loopTimeout}ms`,
    metrics:
      metrics === null ? null : { ...metrics, file: { ...metrics.file, mode: `0${metrics.file.mode.toString(8)}` } },
    sleep: { after: sleep.after === null ? 'never' : `${sleep.after}ms` },
  };
}

function limitsOf(given: Partial<Limits>): object {
  const { requestsPerSecond, connections, ...all } = { ...defaultLimits, ...given };
  return {
    requestsPerSecond,
    requestSize: `${all.requestSize}B`,
    installSize: `${all.installSize}B`,
    installStall: `${all.installStall}ms`,
    connectTimeout: `${all.connectTimeout}ms`,
    unread: `${all.unread}B`,
    memory: `${all.memory}B`,
    connections,
    tokenValidity: `${all.tokenValidity}ms`,
  };
}

function repositoryOf({ type, dir, keys, mountOnStart, capacity, integrity }: RepositoryEntry): object {
  const { containers, size } = capacity;
  return {
    type,
    ...(dir !== null && { dir }),
    ...(keys.length > 0 && { key: keys, integrity }),
    mountOnStart,
    capacity: { ...(containers !== null && { containers }), ...(size !== null && { size }) },
  };
}
