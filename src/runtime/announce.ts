// A start has its sandbox made while it becomes a patch: the launcher works beside the reconciler, not after it. What is made for
// one that is refused then is discarded, as anything that nobody asks for.
import { splitContainerId } from '../../state/container-id.ts';
import type { Store } from '../../state/store.ts';

/** Resolves when what can be begun has been; gives what is called once the patch is in force, or is not to be. */
export async function announceStart(container: string, store: Pick<Store, 'get' | 'set'>): Promise<() => void> {
  const { name, version } = splitContainerId(container);
  const { mounts, attempts } = store.get().observed;
  const isMounted = mounts.get(name)?.some((mount) => mount.version === version) === true;
  const lives = attempts.get(name)?.some(({ state }) => state !== 'exited' && state !== 'failed') === true;
  if (version === null || !isMounted || lives) return () => undefined;
  store.set([{ path: ['announced', name], value: version }]);
  // Planned, and begun, before this is its turn again.
  await new Promise((resolve) => setImmediate(resolve));
  return () => store.set([{ path: ['announced', name] }]);
}
