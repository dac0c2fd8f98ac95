// The shape of a controller, and what a planner may look at.
import type { ContainerEntry } from '../state/desired.ts';
import type { ScheduleRecord } from '../state/schedule.ts';
import type {
  KeptData,
  ObservedAttempt,
  ObservedCgroup,
  ObservedMount,
  ObservedPackage,
  Ran,
} from '../state/observed.ts';
import type { Ahead } from '../state/store.ts';

/** One effect that is still missing. `waits` says, for a person, what must be observed first; null = it can be done now. */
export interface Step {
  readonly op: string;
  /** The container's name: the key of the queue, so that a container is never worked on twice at once. */
  readonly name: string;
  readonly waits: string | null;
  /** It waits for dependencies alone, which come about by themselves. */
  readonly gated?: true;
}

export interface Controller<S extends Step> {
  /** The steps that this controller's part of the container still needs, in order; [] when converged. Pure. */
  plan(view: View): S[];
  /** Performs one idempotent effect. */
  act(step: S, signal: AbortSignal): Promise<void>;
}

/** A controller as the loop uses it: after `act`, what the step touched has been observed into the store. */
export interface Part {
  plan(view: View): readonly Step[];
  act(step: Step, signal: AbortSignal): Promise<void>;
}

/**
 * The steps of all parts as they are performed. What has run is known to a next launcher as soon as may be, however long it takes until
 * what it has left is gone.
 */
export function notesFirst<S extends Step>(steps: readonly S[]): readonly S[] {
  const isNote = ({ op }: S): boolean => op === 'note';
  return steps.some(isNote) ? [...steps.filter(isNote), ...steps.filter((step) => !isNote(step))] : steps;
}

/** A part is given the steps that it has planned, and no others. */
export function partOf<S extends Step>(
  plan: (view: View) => readonly S[],
  act: (step: S, signal: AbortSignal) => Promise<void>,
): Part {
  return { plan, act: (step, signal) => act(step as S, signal) };
}

/** A resource that a container mounts: the image (name:version) that its requirement stands for now, null = none installed. */
export interface Resource {
  readonly target: string;
  readonly name: string;
  readonly requirement: string;
  readonly id: string | null;
}

/** What the document (or autostart) asks of one package, its version requirement resolved. */
export interface Target {
  readonly key: string;
  readonly entry: ContainerEntry;
  /** Exact version, null when nothing that is installed fits. */
  readonly version: string | null;
  readonly package: ObservedPackage | null;
  /** `sha256:<hex>` that a file must have to be installed for it: the entry's, or that of the file it was resolved to. */
  readonly digest: string | null;
  readonly resources: readonly Resource[];
  /** Set when no entry asks for it but the package itself (`autostart`): such a target is never started a second time. */
  readonly autostart: 'relaxed' | 'critical' | null;
  /** The repository that its package was in, or is asked for in, and that the document does not have (any more). */
  readonly goneRepository: string | null;
  /** A higher version that the requirement admits and that is not taken by itself. */
  readonly newer: string | null;
  /** replacingHash of the entry and the resolved version: another one than an attempt's record has replaces the container. */
  readonly replacing: string;
}

/** What a trial means for the persistent data of one name. */
export interface DataTrial {
  /** The generation that it goes back to. */
  readonly confirmed: number;
  /** `forth`: the new document is confirmed. `back`: the one before is in force again. `open`: that is not decided, or not done. */
  readonly outcome: 'open' | 'forth' | 'back';
  /** The confirmed version: before another one is started the data is kept. Null: it need not be. */
  readonly version: string | null;
}

/** Everything that the planners may look at for one container name. */
export interface View {
  readonly name: string;
  /** The runtime is going down: nothing is wanted any more. */
  readonly stopping: boolean;
  /** At most one of them wants `running`. */
  readonly targets: readonly Target[];
  /** What a staged document, which is not in force, asks for: its packages are installed, and nothing else is done. */
  readonly staged: readonly Target[];
  /** A document is on trial: no package is deleted but by whoever uninstalls it. */
  readonly holding: boolean;
  readonly packages: readonly ObservedPackage[];
  /**
   * Where a package of it is lacking: files that are named as packages of this name are, and are none or are there twice, and
   * what is wrong with each.
   */
  readonly brokenFiles: readonly { readonly path: string; readonly message: string }[];
  readonly mounts: readonly ObservedMount[];
  readonly cgroup: ObservedCgroup | null;
  readonly attempts: readonly ObservedAttempt[];
  readonly ran: Ran | null;
  /** Versions of this name that other containers need mounted, and by whom. */
  readonly mountsWanted: ReadonlyMap<string, readonly string[]>;
  /** Versions of this name that live attempts of other containers use. */
  readonly usedBy: ReadonlyMap<string, readonly string[]>;
  /** Versions of this name that the last attempts of other containers have used: mounted, they stay until an entry says otherwise. */
  readonly wasUsedBy: ReadonlyMap<string, readonly string[]>;
  /** Mounts of the resources that this name's targets need and its attempts use, by name:version. */
  readonly resourceMounts: ReadonlyMap<string, ObservedMount>;
  /** Names of dependsOn that have not come to what is asked of them. */
  readonly dependenciesDown: readonly string[];
  /** When one of them comes to it by time alone (CLOCK_BOOTTIME in ms), null = none does. */
  readonly opensAt: number | null;
  /** The newest run (an attempt id, 0 = none) of each name whose new instance replaces this one's. */
  readonly partners: ReadonlyMap<string, number>;
  /** Names that still run, depend on this one and are going down too: they stop first. */
  readonly dependentsUp: readonly string[];
  /** Its persistent data as it was before a trial; null = none is kept. */
  readonly kept: KeptData | null;
  /** What the trial means for its persistent data; null = there never was one. */
  readonly dataTrial: DataTrial | null;
  /** Locks do not hold up what is to be done: it goes back, or somebody has forced it. */
  readonly passesLocks: boolean;
  /** What is said of a sandbox of it that is made in advance; null = nothing is. */
  readonly ahead: Ahead | null;
  /** What is remembered of its schedule; null = nothing is. */
  readonly schedule: ScheduleRecord | null;
  /** The boot (boot_id). */
  readonly boot: string;
  /** The wall clock, ms since 1970; null = it has not been set yet. */
  readonly wall: number | null;
  /** CLOCK_BOOTTIME in ms. */
  readonly now: number;
}
