// What the controllers tell of: subscribers of a console hear it.
import type { TrialState } from '../state/trial/trial-record.ts';
import type { MemoryEvents } from './cgroups/cgroup-alarm.ts';

/** A start, an end, an installation: what subscribers of a console are told. */
export type RuntimeEvent =
  | { readonly type: 'started'; readonly container: string }
  | {
      readonly type: 'exit';
      readonly container: string;
      readonly exit: { readonly code: number } | { readonly signal: number };
    }
  | { readonly type: 'install' | 'uninstall'; readonly container: string }
  /** The kernel has killed in it for want of memory; what its groups count now, null = this version of cgroups does not. */
  | { readonly type: 'c_group'; readonly container: string; readonly memory: MemoryEvents }
  /** Its image is no longer what was mounted. Northstar's clients do not know it: told to those that watch the status. */
  | { readonly type: 'integrity_lost'; readonly container: string; readonly how: 'written' | 'corrupted' }
  /** Somebody has joined it (`by`, a console's client): what that does, a program without its arguments or a copy. */
  | {
      readonly type: 'session';
      readonly container: string;
      readonly by: string;
      readonly does: string;
      readonly privileged: boolean;
    }
  | {
      readonly type: 'session_end';
      readonly container: string;
      readonly by: string;
      readonly exit: { readonly code: number } | { readonly signal: number };
    }
  /** Somebody has had it run once (`by`, a console's client), beside what the document wants; and how that ended. */
  | { readonly type: 'run_once'; readonly container: string; readonly by: string }
  | {
      readonly type: 'run_once_end';
      readonly container: string;
      readonly by: string;
      readonly exit: { readonly code: number } | { readonly signal: number };
    }
  /** The boot player was there before us: how many containers it has started, what it has left, or why it did nothing. As that. */
  | {
      readonly type: 'boot_plan';
      readonly started: number;
      readonly left: readonly string[];
      readonly refused: string | null;
    }
  /** Its replacement waits from now on, or does no longer; `by` is who has said so, a console's client. */
  | { readonly type: 'locked' | 'unlocked'; readonly container: string; readonly by: string }
  /** What has become of its persistent data over a trial. As that. */
  | { readonly type: 'data'; readonly container: string; readonly what: 'kept' | 'restored' | 'dropped' }
  /** A step of a trial. As that. */
  | {
      readonly type: 'trial';
      readonly state: TrialState;
      readonly generation: number;
      readonly confirmed: number;
      readonly reason: string | null;
    }
  | { readonly type: 'shutdown' };

/** What of an attempt an event tells: a successor of this process does not tell it again. */
export type Telling =
  | { readonly attempt: number; readonly news: 'started' | 'exit' }
  | { readonly attempt: number; readonly kills: number };

/** Has an event told; with `of`, once, whoever dies meanwhile. */
export type Tell = (event: RuntimeEvent, of?: Telling) => void;
