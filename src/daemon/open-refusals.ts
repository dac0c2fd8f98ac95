// Which call a filter has refused a container: asked of the kernel's log, and said by its name.
import type { Attempts } from '../../controllers/containers/containers-observe.ts';
import { createRefusals, type RefusedCall } from '../../controllers/containers/refused-call.ts';
import { kernelLog } from '../../native/kernel-log.ts';
import { callName, ownAuditArchitecture } from '../../native/seccomp-filter.ts';
import type { Launcher } from '../../native/wire/launcher-interface.ts';
import type { Daemon, DaemonState } from './daemon-state.ts';

export interface OpenRefusalsPorts extends Pick<Daemon, 'log'>, Pick<DaemonState, 'store' | 'clock'> {
  readonly attempts: Pick<Attempts, 'observe'>;
  readonly launcher: Pick<Launcher, 'record'>;
}

/** What it finds goes into the attempt's record, in the store and in the launcher. */
export function openRefusals({
  store,
  attempts,
  launcher,
  clock,
  log,
}: OpenRefusalsPorts): ReturnType<typeof createRefusals> {
  return createRefusals({
    log: kernelLog,
    nameOf: refusedName,
    wallClock: clock.at,
    known: (name, id) =>
      store
        .get()
        .observed.attempts.get(name)
        ?.find((attempt) => attempt.id === id),
    observe: attempts.observe,
    record: (id, bytes) => launcher.record(id, bytes),
    failed: (container, error) => log.warn({ container, error }, 'what its filter has refused is not known'),
  });
}

/** What a person calls it: a filter refuses all calls of other architectures, whatever their names. */
function refusedName({ architecture, number }: RefusedCall): string {
  const name = callName(architecture, number) ?? `system call ${number}`;
  return architecture === ownAuditArchitecture ? name : `${name} of another architecture`;
}
