// What becomes of the persistent data of a name over a trial: kept before another version than the confirmed one is first started,
// brought back by a revert, given up when the document is confirmed. Pure; the acts are in kept-data.ts.
import type { Step, Target, View } from '../controller.ts';

export type KeptDataStep =
  /** Copies it as it is, which is that of `version`; the trial goes back to the generation `confirmed`. */
  | (Step & { readonly op: 'keep-data'; readonly version: string; readonly confirmed: number })
  /** Puts what was kept in the place of what there is. */
  | (Step & { readonly op: 'restore-data'; readonly version: string })
  | (Step & { readonly op: 'drop-data'; readonly version: string });

type Work = KeptDataStep['op'];

/** What is to be done about it before anything of the name is started; null = nothing. */
export function dataWork(view: View): Work | null {
  if (view.stopping) return null;
  return view.kept === null ? (keeps(view) ? 'keep-data' : null) : workOnKept(view, view.kept);
}

/** The steps: one at most. */
export function planKeptData(view: View): KeptDataStep[] {
  const { name, dataTrial, kept } = view;
  const op = dataWork(view);
  if (op === 'keep-data') {
    const { confirmed = 0, version } = dataTrial ?? {};
    return [{ op, name, version: version ?? '', confirmed, waits: liveWaits(view, ['running']) }];
  }
  if (op === null || kept === null) return [];
  const waits = op === 'restore-data' ? liveWaits(view, ['running', 'preparing', 'prepared']) : null;
  return [{ op, name, version: kept.version, waits }];
}

/** Why a sandbox cannot be made yet: it would have the directory that is about to go. */
export function restoreWaits(view: View): string | null {
  return dataWork(view) === 'restore-data' ? 'its persistent data has to come back first' : null;
}

/** Why the application cannot be started yet. */
export function dataWaits(view: View): string | null {
  if (dataWork(view) === 'keep-data') return 'its persistent data has to be kept first';
  return restoreWaits(view);
}

/** Another version than the confirmed one is to run, and may write there. */
function keeps(view: View): boolean {
  const version = view.dataTrial?.version ?? null;
  const target = view.targets.find(({ entry }) => entry.state === 'running');
  return version !== null && target !== undefined && target.version !== version && hasPersist(target);
}

function hasPersist({ package: found }: Target): boolean {
  return [...(found?.manifest.mounts ?? []).values()].some(({ type }) => type === 'persist');
}

function workOnKept(
  { dataTrial, targets }: View,
  { confirmed, version, touched }: NonNullable<View['kept']>,
): Work | null {
  const present = targets.filter(({ entry }) => entry.state !== 'absent');
  const now = (present.find(({ entry }) => entry.state === 'running') ?? present[0])?.version;
  const isOurs = dataTrial?.confirmed === confirmed;
  const back = touched ? 'restore-data' : 'drop-data';
  if (isOurs && dataTrial.outcome === 'forth') return 'drop-data';
  // By whatever way that version is wanted again, also of a trial whose record is lost: it goes on with its own.
  if (now === version) return back;
  if (!isOurs) return 'drop-data';
  return dataTrial.outcome === 'back' ? back : null;
}

function liveWaits({ attempts }: View, states: readonly string[]): string | null {
  const live = attempts.find(({ state }) => states.includes(state));
  return live === undefined ? null : `attempt ${live.id} has not ended`;
}
