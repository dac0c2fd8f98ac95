// The configuration: settings that need a restart. Read once for each launcher, so that every restart of the reconciler works
// with the same one.
import type { RepositoryEntry } from '../../state/desired.ts';
import type { TrialTerms } from '../../state/trial/terms.ts';
import type { Tls } from '../console/server/listening.ts';
import type { Permissions, PeerRule } from '../console/protocol/permissions.ts';
import type { FetchSettings } from '../fetch/fetch-settings.ts';
import type { Lifetime } from '../runtime/runtime.ts';
import type { Limits } from '../console/protocol/console-limits.ts';
import type { LogLevel, LogTarget } from '../logs/log-level.ts';

export interface ConsoleConfiguration {
  /** `unix:///path` or `tcp://host:port` */
  readonly listen: string;
  readonly permissions: Permissions;
  /** Of a unix socket's clients, by user and group of their process; the first that fits counts. */
  readonly peers?: readonly PeerRule[];
  /** Of a unix socket. */
  readonly file?: { readonly mode: number; readonly uid: number; readonly gid: number };
  /** Of a TCP listener. */
  readonly tls?: Tls;
  readonly patches: Lifetime;
  readonly limits: Partial<Limits>;
}

export interface Configuration {
  /** The document. */
  readonly desired: string;
  /** Copied there when no document ever was. */
  readonly seed: string;
  /** Key files: documents count only when signed with one of their keys; none = they need not be signed. */
  readonly documentKeys: readonly string[];
  /** What this device is, for `compatible` of documents. */
  readonly compatible: string | null;
  readonly stateDir: string;
  /** Why stateDir is one in runDir, which lasts until the boot ends, and not the one that was named. */
  readonly passing?: string;
  readonly dataDir: string;
  readonly runDir: string;
  readonly socketDir: string;
  /** Name below the root of every cgroup hierarchy that is used; `auto` until the first reconciler has looked for a delegated one. */
  readonly cgroup: string;
  /** Every container is in groups of cpu and memory, and has statistics, also where nothing is limited. */
  readonly accounting: boolean;
  readonly console: readonly ConsoleConfiguration[];
  /** The consoles that containers get with their start. */
  readonly containerConsoles: { readonly patches: Lifetime; readonly limits: Partial<Limits> };
  /** They are there beside the document's. */
  readonly repositories: readonly RepositoryEntry[];
  /** Processes and threads of a container whose manifest and entry name no limit; -1 = no limit. */
  readonly pids: number;
  /** How servers are reached that packages come from. */
  readonly fetch: FetchSettings;
  /** What of a container's persistent data is kept over a trial at most: bytes, files, and how long (ms) the copy may take. */
  readonly snapshot: { readonly bytes: number; readonly entries: number; readonly time: number };
  /** ms for which a free loop device is looked for. */
  readonly loopTimeout: number;
  /** Commands that run beside each container that starts. */
  readonly debug: { readonly commands: readonly string[] };
  /** Where metrics can be scraped: nowhere when null. */
  readonly metrics: {
    /** `unix:///path`, or `tcp://host:port` of the loopback. */
    readonly listen: string;
    /** Of a unix socket. */
    readonly file: { readonly mode: number; readonly uid: number; readonly gid: number };
  } | null;
  readonly log: { readonly level: LogLevel; readonly target: LogTarget };
  /** After how many ms without anything to do the reconciler ends until something happens; null: never. */
  readonly sleep: { readonly after: number | null };
  /** Whether the next boot starts from a plan of what runs now, before the reconciler is there (src/boot/). */
  readonly bootPlan: BootPlanUse;
  /** What every document must come to before it is confirmed, whatever it says itself; null = nothing. */
  readonly trial: TrialTerms | null;
}

/** `trusted`: also where documents must be signed, since who may write stateDir may write the system. */
export const bootPlanUses = ['auto', 'trusted', 'never'] as const;
export type BootPlanUse = (typeof bootPlanUses)[number];

/** Whether boots may start from a plan, which nobody signs. */
export function usesBootPlan({ bootPlan, documentKeys }: Pick<Configuration, 'bootPlan' | 'documentKeys'>): boolean {
  return bootPlan === 'trusted' || (bootPlan === 'auto' && documentKeys.length === 0);
}

/** `pids` where the file does not say it. */
export const defaultPids = 4096;

/** `snapshot` where the file does not say it. */
export const defaultSnapshot = { bytes: 100_000_000, entries: 100_000, time: 30_000 } as const;

/** Where the configuration is when nobody names another file. */
export const defaultConfigPath = '/etc/northstate/config.yaml';
/** Where generations are kept when no configuration says where (native/player/summary.c has the same). */
export const defaultStateDir = '/var/lib/northstate/state';

/** The same of a northstar.toml. */
export function northstarStateDir(dataDir: string): string {
  return `${dataDir}/@northstate/state`;
}

/** The configuration in one line, and back. */
export function configurationArgument(configuration: Configuration): string {
  return JSON.stringify(configuration);
}

export function configurationFromArgument(argument: string): Configuration {
  // A launcher that has outlived an update says what it was given then.
  const given = JSON.parse(argument) as Partial<Pick<Configuration, 'snapshot'>> & Omit<Configuration, 'snapshot'>;
  return { ...given, snapshot: given.snapshot ?? defaultSnapshot };
}
