// Waiting until what a generation asks for is reached, or until it is on trial no more.
import type { Reconciler } from '../../controllers/reconcile/reconciler.ts';
import type { Reached } from '../../controllers/status/reached.ts';
import type { State, Store } from '../../state/store.ts';
import { isUnderWay } from '../../state/trial/trial-record.ts';
import type { Waited } from './runtime.ts';

export interface WaitPorts {
  readonly store: Store;
  readonly reconciler: Pick<Reconciler, 'outcome' | 'onSettled'>;
}

/** `generation` null: all that the document in force asks for; of `confirmed`: whichever is on trial now. */
export function wait(
  {
    generation,
    timeout,
    what = 'reached',
  }: { readonly generation: number | null; readonly timeout: number; readonly what?: 'reached' | 'confirmed' },
  { store, reconciler }: WaitPorts,
): Promise<Waited> {
  const { generation: present, trial } = store.get();
  const tried = isUnderWay(trial?.record ?? null) ? trial?.record.generation : undefined;
  const wanted = generation ?? (what === 'confirmed' ? tried : undefined) ?? present;
  return new Promise((resolve) => {
    let missing: string | null = null;
    const found = (): Reached => {
      const state = store.get();
      const tells = ofTrial(state, wanted, what);
      if (tells !== null) return tells;
      if (state.status.observedGeneration < wanted) return { result: 'moving', reason: null };
      return reconciler.outcome(generation);
    };
    const look = (): boolean => {
      const { result, reason } = found();
      missing = reason;
      if (result === 'moving') return false;
      resolve({ result, reason });
      return true;
    };
    if (look()) return;
    const end = (): void => {
      clearTimeout(timer);
      for (const each of ends) each();
    };
    const lookOnce = (): void => {
      if (look()) end();
    };
    const timer = setTimeout(() => {
      end();
      resolve({ result: 'timeout', reason: missing });
    }, timeout);
    const ends = [
      reconciler.onSettled(lookOnce),
      store.subscribe((operations) => {
        if (operations.some(({ path }) => path.startsWith('/trial'))) lookOnce();
      }),
    ];
  });
}

/** What a trial says of a generation; null: that it is to be judged by what runs. */
function ofTrial({ trial }: State, wanted: number, what: 'reached' | 'confirmed'): Reached | null {
  if (trial === null) return null;
  const { record, waits } = trial;
  const { state, generation, confirmed, cause } = record;
  if (wanted <= confirmed || wanted > generation) return null;
  if (state === 'reverting' || state === 'reverted')
    return { result: 'failed', reason: `it was reverted: ${cause?.message ?? 'no cause is known'}` };
  if (state === 'staged') return { result: 'moving', reason: waits };
  if (what === 'reached') return null;
  return state === 'confirmed' ? { result: 'converged', reason: null } : { result: 'moving', reason: waits };
}
