// The trial as the status shows it. Pure.
import type { TrialStatus } from '../../state/status.ts';
import type { State } from '../../state/store.ts';
import { containerId } from '../../state/container-id.ts';
import { close } from './container-status.ts';

/** Null: there never was one. `wallClock`: a time of CLOCK_BOOTTIME (ms) in RFC 3339. */
export function trialStatus(
  { trial, status, observed }: State,
  wallClock: (boot: number) => string,
): TrialStatus | null {
  if (trial === null) return null;
  const { record, waits, lacking } = trial;
  const { state, generation, confirmed, terms, since, boots, boot, cause, dropped } = record;
  const kept = [...observed.kept].flatMap(([name, each]) =>
    each.confirmed === confirmed ? [containerId(name, each.version)] : [],
  );
  return {
    kept: kept.sort(),
    ...{ state, generation, confirmed, terms, boots, waits, lacking, dropped },
    since: new Date(since).toISOString(),
    until: state === 'active' ? close(status.trial?.until ?? null, wallClock(boot.at + terms.within)) : null,
    cause:
      cause === null
        ? null
        : { reason: cause.reason, message: cause.message, time: new Date(cause.time).toISOString() },
  };
}
