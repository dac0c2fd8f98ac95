// What one start can take along. A request to the launcher is bounded (native/launcher/wire.h: 256 KiB and 253 descriptors, of
// which the sandbox itself takes some), and what no request can hold is refused where it is written down.
import type { ContainerEntry } from '../desired.ts';
import type { Manifest } from './manifest.ts';

/** Mounts, and sockets, of a manifest: nearly each is a descriptor. */
const mostMounts = 200;
export const mostSockets = 200;
/** Bytes of an entry's arguments and variables, those of its run among them, and of a manifest's. */
const longestOfEntry = 96 * 1024;
const longestOfManifest = 128 * 1024;
/** What each text takes beside its own bytes, in the request and for execve(2). */
const perText = 8;
/** MAX_ARG_STRLEN of the kernel, the NUL included (execve(2)). */
const longestText = 128 * 1024;

interface Command {
  readonly args?: readonly string[] | null | undefined;
  readonly env?: ReadonlyMap<string, string | null> | null | undefined;
}

function textsOf({ args, env }: Command): string[] {
  const variables = [...(env ?? [])].map(([name, value]) => `${name}=${value ?? ''}`);
  return [...(args ?? []), ...variables];
}

function tooLong(commands: readonly Command[], most: number): string | null {
  const sizes = commands.flatMap(textsOf).map((text) => Buffer.byteLength(text));
  const longest = Math.max(0, ...sizes);
  if (longest >= longestText)
    return `an argument or variable takes less than ${longestText} bytes, this one ${longest}`;
  const total = sizes.reduce((sum, size) => sum + size + perText, 0);
  if (total <= most) return null;
  return `arguments and variables take at most ${most} bytes together, each ${perText} beside its own: these take ${total}`;
}

/** Why an entry's arguments and variables fit into no start; null when they do. */
export function commandTooLong(entry: Pick<ContainerEntry, 'args' | 'env' | 'run'>): string | null {
  return tooLong([entry, entry.run ?? {}], longestOfEntry);
}

/** What in a manifest fits into no start, and why: field -> message. */
export function launchDefects(manifest: Manifest): readonly (readonly [string, string])[] {
  const counted = [
    ['mounts', manifest.mounts?.size ?? 0, mostMounts],
    ['sockets', manifest.sockets?.size ?? 0, mostSockets],
  ] as const;
  const many = counted
    .filter(([, count, most]) => count > most)
    .map(([field, count, most]) => [field, `a container has at most ${most} ${field}, this one ${count}`] as const);
  const command = tooLong([manifest], longestOfManifest);
  return command === null ? many : [...many, ['args', command]];
}
