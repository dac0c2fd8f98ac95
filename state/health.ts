// What is asked of a container that runs, and what it has come to. Times are in ms.

/** Whom a probe asks. Addresses are in numbers; paths are the container's. */
export type ProbeTarget =
  | { readonly kind: 'exec'; readonly command: readonly string[] }
  | { readonly kind: 'tcp'; readonly address: string; readonly port: number }
  | { readonly kind: 'http'; readonly address: string; readonly port: number; readonly path: string }
  | { readonly kind: 'unix' | 'file'; readonly path: string };

export interface Probe {
  readonly target: ProbeTarget;
  readonly every: number;
  readonly timeout: number;
  /** In a row, after which it counts. */
  readonly failures: number;
}

export interface Health {
  /** `notify`: it says so itself (sd_notify(3)); null: it has run for its time to settle. */
  readonly ready: 'notify' | Probe | null;
  /** Not ready by then is a failed start; null: it is waited for. */
  readonly within: number | null;
  readonly alive: Probe | null;
  /** WATCHDOG=1 must come so often. */
  readonly watchdog: number | null;
}

/** What the launcher keeps of how an attempt is. */
export interface ObservedHealth {
  /** Of what it has been told to ask, 0 = nothing. */
  readonly revision: number;
  /** CLOCK_BOOTTIME in ms; null: it is not ready. */
  readonly readyAt: number | null;
  readonly verdict: 'NotReady' | 'Unhealthy' | 'WatchdogExpired' | null;
  readonly stopping: boolean;
  readonly reloading: boolean;
  /** STATUS= of it. */
  readonly status: string;
  /** Why a probe has found it wanting. */
  readonly message: string;
}

/** Of an attempt that nothing has been asked of. */
export const unasked: ObservedHealth = {
  revision: 0,
  readyAt: null,
  verdict: null,
  stopping: false,
  reloading: false,
  status: '',
  message: '',
};
