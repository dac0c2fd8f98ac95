// The changes of the status by number. A number that was given out stays true: it lies in a journal that outlives this
// process, and beside it the status that the journal begins with, so that the next process knows what was told last and
// goes on from there. What nobody has been told, or could be told of, is not written down: most changes have no listener.
import type { Operation } from 'fast-json-patch';
import type { Draft } from 'immer';
import type { Status } from '../../state/status.ts';
import type { Store } from '../../state/store.ts';
import { applied } from '../../state/text/operations.ts';
import type { KeptValue } from '../daemon/kept-value.ts';
import { openJournal, type Past } from './journal.ts';
import type { StatusChange } from './runtime.ts';

export interface StatusChanges {
  /** Looking at it gives the numbers out. */
  readonly journal: Past<StatusChange>;
  /** Calls the listener with every change; gives the function that ends it. */
  subscribe(listener: (change: StatusChange) => void): () => void;
  /** Whether anybody listens. */
  isFollowed(): boolean;
  /** Has the next process begin with the status as it is, and not with an older one and what was changed since. */
  settle(): void;
}

/** Changes that wait to be written down as long as nobody listens: each holds the status that it has led to. */
const mostUnwritten = 32;

/** A status, and the number of the change that led to it. */
export interface NumberedStatus {
  readonly sequence: number;
  readonly status: Status;
}

export interface StatusChangesOptions {
  readonly store: Store;
  /** Of the journal. */
  readonly fd: number;
  readonly base: KeptValue<NumberedStatus>;
  readonly first: number;
  readonly most: number;
}

/** Follows the store from now on. Where an earlier process has left its journal, its status is put into the store first. */
export function createStatusChanges({ store, fd, base, first, most }: StatusChangesOptions): StatusChanges {
  const listeners = new Set<(change: StatusChange) => void>();
  let pending: { readonly change: StatusChange; readonly status: Status }[] = [];
  /** As the journal's newest change left it. */
  let written = store.get().status;
  const journal = openJournal<StatusChange>({ fd, first, most, trimming: moveBase });
  seed();

  function seed(): void {
    const known = base.get();
    if (known === null) return;
    const changes = journal.after(known.sequence) ?? [];
    const { repositories, containers, ...rest } = changes.reduce<Status>(
      (status, { operations }) => applied(status, operations),
      known.status,
    );
    const { status } = store.get();
    // Frozen, they are not walked through for drafts; and one object is one change, however many containers are in it.
    for (const each of Object.values(containers)) Object.freeze(each);
    const all = Object.freeze(
      Object.assign(Object.create(null) as Draft<Status['containers']>, status.containers, containers),
    );
    store.update((draft) => {
      Object.assign(draft.status, rest);
      Object.assign(draft.status.repositories, repositories);
      draft.status.containers = all;
    });
    written = store.get().status;
  }

  /** The status that the journal begins with must not be older than the change before its oldest. */
  function moveBase(oldest: number): void {
    const known = base.get();
    if (known !== null && known.sequence < oldest - 1) base.set({ sequence: journal.last(), status: written });
  }

  function write(): void {
    if (pending.length === 0) return;
    if (base.get() === null) base.set({ sequence: journal.last(), status: written });
    const changes = pending;
    pending = [];
    for (const { change, status } of changes) {
      written = status;
      journal.add(change);
    }
  }

  store.subscribe((all, state) => {
    const operations = statusOperations(all);
    if (operations.length === 0) return;
    const change = { sequence: journal.last() + pending.length + 1, operations };
    pending.push({ change, status: state.status });
    if (pending.length >= Math.min(most, mostUnwritten) || listeners.size > 0) write();
    for (const listener of listeners) listener(change);
  });

  return {
    isFollowed: () => listeners.size > 0,
    settle() {
      write();
      const known = base.get();
      if (known !== null && known.sequence < journal.last()) base.set({ sequence: journal.last(), status: written });
    },
    journal: {
      last() {
        write();
        return journal.last();
      },
      since(number) {
        write();
        return journal.since(number);
      },
      all() {
        write();
        return journal.all();
      },
    },
    subscribe(listener) {
      write();
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** The operations that concern the status, as those of the status object. */
function statusOperations(operations: readonly Operation[]): readonly Operation[] {
  const own = operations.filter(({ path }) => path.startsWith('/status/'));
  return own.map((operation) => {
    const path = operation.path.slice('/status'.length);
    if (!('value' in operation)) return { ...operation, path };
    // Made when somebody looks at it: most changes are only kept.
    return {
      op: operation.op,
      path,
      get value(): unknown {
        return operation.value as unknown;
      },
    } as Operation;
  });
}
