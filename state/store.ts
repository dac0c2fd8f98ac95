// The one store of the reconciler: desired, observed and status in an immutable tree; every change gives RFC 6902 operations.
import type { Operation } from 'fast-json-patch';
import { enableMapSet, enablePatches, produceWithPatches, setAutoFreeze, type Draft, type Patch } from 'immer';
import { emptyDesired, type Desired } from './desired.ts';
import { emptyObserved, type Observed } from './observed.ts';
import { withEntry } from './layered-map.ts';
import { formatPointer } from './text/pointer.ts';
import type { Quarantined } from './trial/quarantine.ts';
import type { Trial } from './trial/known-trial.ts';
import type { DocumentStatus, FieldOrigin, RuntimeCondition, Status, SleepStatus } from './status.ts';

enableMapSet();
enablePatches();
// The types forbid to change what is in the store; looking for all of it at every change would cost more than the change.
setAutoFreeze(false);

/** What a version requirement was resolved to, kept until its entry changes. */
export interface Locked {
  readonly version: string;
  readonly repository: string;
  /** `sha256:<hex>` of the package file where it is known. */
  readonly digest: string | null;
}

/** One run of a container, whatever the document wants of it before and afterwards. */
export interface Order {
  /** A number that no run of the name has had in this boot. */
  readonly id: number;
  /** The entry or name:version that it is for. */
  readonly key: string;
  /** Instead of the entry's and the manifest's, where there are any. */
  readonly args: readonly string[];
  /** ms after which it is ended and has failed; null = as its entry says. */
  readonly timeout: number | null;
}

/** What is said of a sandbox that is made in advance, for as long as it would be made from the same. */
export interface Ahead {
  /** What it is made from, as its record says it. */
  readonly made: string;
  /** It is to be made; it could not be made; it is given up for want of memory. */
  readonly what: 'make' | 'failed' | 'tight';
}

export interface State {
  /** The effective state: the document in force with the boot's patches over it. */
  readonly desired: Desired;
  /** The generation in force, of `desired` as a whole; 0 = there never was a document. */
  readonly generation: number;
  readonly document: DocumentStatus;
  /** The generation that somebody has forced, whatever holds it up; -1 = none. */
  readonly forced: number;
  /** Why it is not known what is wanted: nothing is done meanwhile. Null = it is known. */
  readonly unknown: string | null;
  /** Fields of `desired` that the overlay sets; all others come from the document. */
  readonly overlay: readonly FieldOrigin[];
  /** By entry key. */
  readonly lock: ReadonlyMap<string, Locked>;
  /** The trial under way, or how the last one ended; null = there never was one. */
  readonly trial: Trial | null;
  /** The document on trial that waits for its packages, and is not in force; null = there is none. */
  readonly staged: Desired | null;
  /** What has failed in a trial, and is passed over. */
  readonly quarantine: readonly Quarantined[];
  readonly observed: Observed;
  /** The boot (boot_id), and what the wall clock (ms since 1970) says more than CLOCK_BOOTTIME. */
  readonly clock: { readonly boot: string; readonly distance: number };
  /** Runs that somebody has asked for beside the document, by container name. */
  readonly orders: ReadonlyMap<string, Order>;
  /** Sandboxes that are made in advance, by container name: what is there, and of which nothing is said, stays. */
  readonly ahead: ReadonlyMap<string, Ahead>;
  /** Of the runtime itself, by type and subject. */
  readonly conditions: ReadonlyMap<string, RuntimeCondition>;
  readonly status: Status;
}

/** The maps of the observed state, by the names of containers as a rule. */
export type ObservedMap = keyof Observed;
export type ObservedValue<K extends ObservedMap> = Observed[K] extends ReadonlyMap<string, infer V> ? V : never;

export type StateListener = (operations: readonly Operation[], state: State) => void;

/** What is to stand at a place from now on; no value = nothing is. */
export interface Placed {
  readonly path: readonly [string, ...string[]];
  readonly value?: unknown;
}

export interface Store {
  /** The present state; immutable. */
  get(): State;
  /** Changes the state and tells the listeners; gives the operations, [] when nothing changed. */
  update(recipe: (draft: Draft<State>) => void): readonly Operation[];
  /**
   * Sets what stands at these places: the same as an update, without drafts, which cost a start more than its patch. Everything
   * above a place is there. It is told even when the value says the same as before.
   */
  set(places: readonly Placed[]): void;
  /** The same for one entry of an observed map, which is set or taken away (undefined). */
  observe<K extends ObservedMap>(map: K, key: string, value: ObservedValue<K> | undefined): void;
  /** The same for a whole map that is empty: what is first seen of everything. */
  observeAll<K extends ObservedMap>(map: K, values: ReadonlyMap<string, ObservedValue<K>>): void;
  /** Runs a task; the listeners are told of all that it changes as of one change, when it is done. */
  together<T>(task: () => T): T;
  /** Calls the listener after every change, in order, also when one changes the state again; gives the function that ends it. */
  subscribe(listener: StateListener): () => void;
}

/** The state before anything is known. */
export function emptyState(): State {
  const document: DocumentStatus = { status: 'ok', generation: 0, error: null };
  return {
    desired: emptyDesired,
    generation: 0,
    document,
    forced: -1,
    unknown: null,
    overlay: [],
    lock: new Map(),
    trial: null,
    staged: null,
    quarantine: [],
    observed: emptyObserved(),
    clock: { boot: '', distance: 0 },
    orders: new Map(),
    ahead: new Map(),
    conditions: new Map(),
    status: {
      generation: 0,
      observedGeneration: 0,
      converged: false,
      document,
      conditions: [],
      overlay: [],
      sleep: untold,
      trial: null,
      ...noMembers(),
    },
  };
}

/** As long as nobody has said how it rests. */
const untold: SleepStatus = { after: null, last: null, today: 0, reasons: {} };

/** Without a prototype `__proto__` is a name like others. */
function noMembers(): Pick<Status, 'repositories' | 'containers'> {
  return {
    repositories: Object.create(null) as Status['repositories'],
    containers: Object.create(null) as Status['containers'],
  };
}

/** Makes a store. */
export function createStore(initial: State = emptyState()): Store {
  let state = initial;
  const listeners = new Set<StateListener>();
  const untold: { operations: readonly Operation[]; state: State }[] = [];
  let telling = false;
  let gathering = false;

  const tell = (): void => {
    if (telling || gathering) return;
    telling = true;
    try {
      for (let change = untold.shift(); change; change = untold.shift()) {
        for (const listener of listeners) listener(change.operations, change.state);
      }
    } finally {
      telling = false;
    }
  };

  const place = (places: readonly Placed[]): void => {
    const copies = new Set<object>();
    const operations: Operation[] = [];
    let next = state;
    for (const { path, value } of places) {
      const had = hasPlace(next, path);
      if (!had && value === undefined) continue;
      next = withPlace(next, path, value, copies);
      const op = value === undefined ? 'remove' : had ? 'replace' : 'add';
      operations.push(toOperation({ op, path: [...path], value }));
    }
    if (operations.length === 0) return;
    state = next;
    untold.push({ operations, state });
    tell();
  };

  return {
    get: () => state,
    update(recipe) {
      const [next, patches] = produceWithPatches(state, (draft) => {
        recipe(draft);
      });
      if (next === state) return [];
      state = next;
      const operations = patches.map(toOperation);
      untold.push({ operations, state });
      tell();
      return operations;
    },
    set: place,
    observe(map, key, value) {
      const before = state.observed[map];
      const had = before.has(key);
      if (!had && value === undefined) return;
      const next = withEntry<string, unknown>(before, key, value);
      state = { ...state, observed: { ...state.observed, [map]: next } };
      const op = value === undefined ? 'remove' : had ? 'replace' : 'add';
      untold.push({ operations: [toOperation({ op, path: ['observed', map, key], value })], state });
      tell();
    },
    observeAll(map, values) {
      if (state.observed[map].size > 0) throw new Error(`${map} have been observed before`);
      if (values.size === 0) return;
      state = { ...state, observed: { ...state.observed, [map]: new Map<string, unknown>(values) } };
      const operations = [...values].map(([key, value]) =>
        toOperation({ op: 'add', path: ['observed', map, key], value }),
      );
      untold.push({ operations, state });
      tell();
    },
    together(task) {
      if (gathering) return task();
      const before = untold.length;
      gathering = true;
      try {
        return task();
      } finally {
        gathering = false;
        const operations = untold.splice(before).flatMap((change) => change.operations);
        if (operations.length > 0) untold.push({ operations, state });
        tell();
      }
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

function memberOf(node: unknown, key: string): unknown {
  return node instanceof Map ? node.get(key) : (node as Readonly<Record<string, unknown>>)[key];
}

function hasPlace(tree: unknown, path: readonly string[]): boolean {
  const parent = path.slice(0, -1).reduce(memberOf, tree);
  const key = path.at(-1) ?? '';
  return parent instanceof Map ? parent.has(key) : Object.hasOwn(parent as object, key);
}

/** The tree with copies of what lies on the way, each made once: `copies` are those that were. */
function withPlace<T>(tree: T, [key = '', ...rest]: readonly string[], value: unknown, copies: Set<object>): T {
  const copy = copies.has(tree as object) ? tree : shallow(tree);
  copies.add(copy as object);
  const next = rest.length === 0 ? value : withPlace(memberOf(tree, key), rest, value, copies);
  if (copy instanceof Map) {
    if (next === undefined) copy.delete(key);
    else copy.set(key, next);
  } else if (next === undefined) Reflect.deleteProperty(copy as object, key);
  else (copy as Record<string, unknown>)[key] = next;
  return copy;
}

/** Without a prototype where the original has none. */
function shallow<T>(node: T): T {
  if (node instanceof Map) return new Map(node) as T;
  return Object.getPrototypeOf(node) === null ? Object.assign(Object.create(null) as T & object, node) : { ...node };
}

/**
 * An immer patch (its path is a list) as an operation of RFC 6902. Maps in its value become objects when somebody looks at
 * it: most listeners want the path alone.
 */
export function toOperation({ op, path: steps, value }: Patch): Operation {
  const path = formatPointer(steps);
  if (op === 'remove') return { op, path };
  return {
    op,
    path,
    get value() {
      return toJson(value);
    },
  };
}

/** A value as JSON knows it: every Map is an object (without a prototype, so that `__proto__` is a name like others). */
export function toJson(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(toJson);
  const object = Object.create(null) as Record<string, unknown>;
  const entries = value instanceof Map ? (value as ReadonlyMap<string, unknown>) : Object.entries(value);
  for (const [key, member] of entries) object[key] = toJson(member);
  return object;
}
