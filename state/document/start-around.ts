// What the start of a container asks of other entries. Pure.
import type { Operation } from 'fast-json-patch';
import { hasEnded } from '../ended-run.ts';
import type { ContainerEntry, DesiredState } from '../desired.ts';
import type { State } from '../store.ts';
import { formatPointer } from '../text/pointer.ts';
import { matches, parseRequirement } from '../version.ts';
import { containerName } from '../container-id.ts';

/**
 * Operations beside those of the entry `key`. Another version whose run has ended asks for nothing: its entry is mounted from now
 * on. Resources that a console had installed or unmounted are to be mounted, and stay so until a console says otherwise.
 */
export function aroundStart(container: string, key: string, state: State): Operation[] {
  const { desired, observed } = state;
  const name = containerName(container);
  const remembered = { attempts: observed.attempts.get(name) ?? [], ran: observed.ran.get(name) ?? null };
  const others = [...desired.containers.values()].filter(
    (entry) => entry.name === name && entry.key !== key && entry.state === 'running' && hasEnded(entry, remembered),
  );
  return [...others, ...resourceEntries(container, state)].map((entry) => setTo(entry, 'mounted'));
}

/** What takes that back of resources when the start has failed. The other version stays ended. */
export function withdrawAround(before: State, patched: State, now: State): Operation[] {
  return [...patched.desired.containers.values()].flatMap((entry) => {
    const was = before.desired.containers.get(entry.key);
    const is = now.desired.containers.get(entry.key);
    const lifted = was?.state === 'installed' && entry.state === 'mounted' && is?.state === 'mounted';
    return lifted ? [setTo(was, 'installed')] : [];
  });
}

function resourceEntries(container: string, { desired, observed }: State): ContainerEntry[] {
  const name = containerName(container);
  const found = observed.packages.get(name)?.find(({ id }) => id === container);
  const ids = [...(found?.manifest.mounts?.values() ?? [])].flatMap((mount) => {
    if (mount.type !== 'resource') return [];
    const asked = parseRequirement(mount.version);
    return observed.packages.get(mount.name)?.find(({ version }) => matches(asked, version))?.id ?? [];
  });
  return [...new Set(ids)].flatMap((id) => {
    const entry = desired.containers.get(id);
    return entry?.state === 'installed' && entry.writtenBy === 'console' ? [entry] : [];
  });
}

function setTo({ key }: ContainerEntry, state: DesiredState): Operation {
  return { op: 'add', path: formatPointer(['containers', key, 'state']), value: state };
}
