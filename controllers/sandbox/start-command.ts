// What belongs to one start: the program, its arguments and environment. Pure.
import type { ContainerEntry } from '../../state/desired.ts';
import type { Manifest } from '../../state/schema/manifest.ts';
import { TerminalError } from '../failure.ts';
import { containerId } from '../../state/container-id.ts';

/** A start's own part of the specification. */
export interface Start {
  readonly path: string;
  readonly arguments: readonly string[];
  /** Without what names descriptors (start-descriptors.ts). */
  readonly environment: ReadonlyMap<string, string>;
  /** The persist directory, null when the container has none. */
  readonly persist: string | null;
}

/**
 * The command of a start. What the entry's `run` names replaces the entry's, and that the manifest's, where it is given and
 * not empty; `<INIT>` in an init stands for the manifest's. Throws TerminalError for a container without an init.
 */
export function startOf(input: {
  readonly manifest: Manifest;
  readonly entry: Pick<ContainerEntry, 'init' | 'args' | 'env' | 'run'>;
  readonly dataDir: string;
}): Start {
  const { manifest, entry } = input;
  const { name, version } = manifest;
  const init = entry.run?.init || entry.init || manifest.init;
  if (init === undefined) throw new TerminalError('StartFailed', `${name}:${version} has no init: it is a resource`);
  const path = init.replaceAll('<INIT>', manifest.init ?? '<INIT>');
  const args = entry.run?.args?.length ? entry.run.args : (entry.args ?? manifest.args ?? []);
  const hasPersist = [...(manifest.mounts ?? []).values()].some(({ type }) => type === 'persist');
  return {
    path,
    arguments: [path, ...args],
    environment: environmentOf(manifest, entry),
    persist: hasPersist ? `${input.dataDir}/${name}` : null,
  };
}

function environmentOf(manifest: Manifest, entry: Pick<ContainerEntry, 'env' | 'run'>): Map<string, string> {
  const { name, version } = manifest;
  const env = new Map(entry.run?.env?.size ? entry.run.env : manifest.env);
  if (!entry.run?.env?.size) {
    for (const [key, value] of entry.env) {
      if (value === null) env.delete(key);
      else env.set(key, value);
    }
  }
  // Only who has a console is told where (start-descriptors.ts).
  env.delete('NORTHSTAR_CONSOLE');
  env.set('NORTHSTAR_NAME', name);
  env.set('NORTHSTAR_VERSION', version);
  return env.set('NORTHSTAR_CONTAINER', containerId(name, version));
}
