// What brings a document on trial on: the gates before it, and the driver of what comes after.
import { unsettledText } from '../../controllers/failure.ts';
import { stagedNames, stagedTargets } from '../../controllers/reconcile/staged-targets.ts';
import type { Reconciler } from '../../controllers/reconcile/reconciler.ts';
import type { Target } from '../../controllers/controller.ts';
import {
  createActivationGate,
  type ActivationGate,
  type ActivationGatePorts,
} from '../../controllers/trial/activation-gate.ts';
import { createTrialDriver, type TrialDriver } from '../../controllers/trial/trial-driver.ts';
import { bootTime } from '../../native/clock.ts';
import type { State } from '../../state/store.ts';
import type { Daemon, DaemonState } from './daemon-state.ts';
import type { Deadlines } from './deadlines.ts';
import { factsPorts } from './facts-ports.ts';

export interface TrialPorts
  extends Pick<Daemon, 'config' | 'log'>, Pick<ActivationGatePorts, 'blind' | 'failed' | 'launcher'> {
  readonly state: Pick<DaemonState, 'store' | 'documents'>;
  readonly reconciler: Reconciler;
  readonly deadlines: Deadlines;
}

/** Nothing is put into force before `look` of the driver is called. */
export function openTrial({ config, log, state, reconciler, deadlines, blind, failed, launcher }: TrialPorts): {
  readonly gate: ActivationGate;
  readonly trial: TrialDriver;
} {
  const { store, documents } = state;
  const staged = (): readonly Target[] => stagedNames(store.get()).flatMap((name) => stagedTargets(store.get(), name));
  const gate = createActivationGate({
    ...{ state: store.get, staged, now: bootTime, wallClock: Date.now, setDeadline: deadlines.of() },
    ...{ changed: () => trial.look(), blind, failed, launcher },
    async lookAhead() {
      const { findingText, ownFindings, preflight } = await import('../preflight/preflight.ts');
      const present = store.get();
      const next = asInForce(present);
      const ports = { ...factsPorts(config), now: bootTime };
      return ownFindings(await preflight({ present, next }, null, ports)).map(findingText);
    },
  });
  const trial = createTrialDriver({
    ...{ store, documents, reconciler, now: bootTime, setDeadline: deadlines.of() },
    staged,
    why: (name) => reconciler.explain(name).map(unsettledText)[0] ?? null,
    gate: gate.waits,
    failed: (err) => log.error({ err }, 'the document on trial cannot be brought on'),
  });
  return { gate, trial };
}

/** The state with what is staged in force. */
function asInForce(state: State): State {
  const { staged, trial } = state;
  if (staged === null || trial === null) return state;
  return { ...state, desired: staged, trial: { ...trial, record: { ...trial.record, state: 'active' } } };
}
