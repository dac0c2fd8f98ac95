// A runtime without a kernel: it keeps the state that a console shows, and does at once what it is told.
import { UnknownGeneration } from '../../../state/document/refusals.ts';
import { PassThrough } from 'node:stream';
import type { Operation } from 'fast-json-patch';
import type { Command } from '../../../state/document/command-patches.ts';
import type { ObservedAttempt, ObservedMount, ObservedPackage } from '../../../state/observed.ts';
import type { Exit } from '../../../state/signals.ts';
import type { Status } from '../../../state/status.ts';
import type { State } from '../../../state/store.ts';
import type { Tree } from '../../../state/text/tree.ts';
import { createMemoryFile } from '../../../native/memfd.ts';
import { openJournal } from '../../../src/runtime/journal.ts';
import type { ToldFinding } from '../../../src/preflight/finding.ts';
import type { RuntimeEvent } from '../../../controllers/events.ts';
import type { Unmet } from '../../../controllers/status/explain.ts';
import {
  RuntimeError,
  type ContainerSession,
  type LogLine,
  type Runtime,
  type StampedEvent,
  type StatusChange,
} from '../../../src/runtime/runtime.ts';

import {
  containerStatus,
  empty,
  emptyStatus,
  generation,
  identity,
  manifestOf,
  observedAttempt,
  observedPackage,
  observedRepository,
  record,
} from './fake-state.ts';
import { wholeOf } from '../pieces.ts';

export interface FakePackage {
  /** A manifest as `inspect` shows it. */
  readonly manifest: Readonly<Record<string, unknown>>;
  readonly repository: string;
}

export interface FakeOptions {
  /** The file of the journal of events; one of its own when left out. */
  readonly events?: number;
  readonly packages?: readonly FakePackage[];
  /** Repositories and how many packages and bytes they take. */
  readonly repositories?: Readonly<Record<string, { readonly containers?: number; readonly bytes?: number }>>;
  /** How containers end by themselves when they are started. */
  readonly ends?: (name: string, args: readonly string[], init: string) => Exit | null;
  /** Reads a package that is installed; undefined when it is none or must not go there. */
  readonly recognise?: (bytes: Buffer, repository: string) => Readonly<Record<string, unknown>> | undefined;
}

export interface FakeRuntime extends Runtime {
  /** Everything that was asked for, in order. */
  readonly calls: unknown[];
  /** Lines that `logs` gives. */
  lines: LogLine[];
  /** What the document in force says. */
  tree: Tree;
  /** The texts of generations. */
  texts: Record<number, string>;
  /** What `explain` gives. */
  unmet: Map<string, Unmet>;
  /** What `report` gives. */
  archive: Buffer[];
  /** What `apply`, `command` and `wait` answer next. */
  failure: Error | null;
  /** What `plan` finds, looking ahead. */
  findings: ToldFinding[];
  /** Why what it is told does not last. */
  loss: string | null;
  /** What the next calls of `apply` answer, one each, before that. */
  failures: Error[];
  outcome: 'converged' | 'failed' | 'timeout';
  emit(event: RuntimeEvent): void;
  /** Changes the status and tells the subscribers. */
  change(operations: readonly Operation[], status: Status): void;
}

export function fakeRuntime(options: FakeOptions = {}): FakeRuntime {
  let packages: ReadonlyMap<string, readonly ObservedPackage[]> = new Map();
  const mounts = new Map<string, ObservedMount[]>();
  const attempts = new Map<string, ObservedAttempt[]>();
  const eventListeners = new Set<(stamped: StampedEvent) => void>();
  const statusListeners = new Set<(change: StatusChange) => void>();
  const changes = openJournal<StatusChange>({ fd: createMemoryFile('journal'), first: 1, most: 4 });
  const pastEvents = openJournal<StampedEvent>({
    fd: options.events ?? createMemoryFile('journal'),
    first: 1,
    most: options.events === undefined ? 4 : 1024,
  });
  const limits = options.repositories ?? { system: {} };
  let status: Status = emptyStatus();
  let attemptId = 0;
  for (const each of options.packages ?? []) add(each.manifest, each.repository, 1000);

  function add(manifest: Readonly<Record<string, unknown>>, repository: string, size: number): string {
    const name = String(manifest['name']);
    const version = String(manifest['version']);
    const id = `${name}:${version}`;
    // Whatever changes is another map, as in the store.
    packages = new Map(packages).set(name, [
      ...(packages.get(name) ?? []),
      {
        ...observedPackage,
        id,
        name,
        version,
        repository,
        manifest: manifestOf(manifest),
        identity: { ...identity, size },
      },
    ]);
    status = { ...status, containers: { ...status.containers, [name]: containerStatus(version, repository) } };
    return id;
  }

  function state(): State {
    const repositories = new Map(Object.keys(limits).map((id) => [id, { ...observedRepository, id }] as const));
    const observed = { ...empty.observed, repositories, packages, mounts, attempts };
    return { ...empty, generation: status.generation, document: status.document, observed, status };
  }

  function emit(event: RuntimeEvent): void {
    const stamped = { sequence: pastEvents.last() + 1, monotonic: 1000, time: '2026-01-01T00:00:00.000Z', event };
    pastEvents.add(stamped);
    for (const listener of eventListeners) listener(stamped);
  }

  function mount(container: string): void {
    const [name = '', version = ''] = container.split(':');
    const others = (mounts.get(name) ?? []).filter((each) => each.id !== container);
    mounts.set(name, [
      ...others,
      { id: container, name, version, mountId: 1, target: `/run/${container}`, backing: null, integrity: 'intact' },
    ]);
  }

  function umount(container: string): void {
    const [name = ''] = container.split(':');
    mounts.set(
      name,
      (mounts.get(name) ?? []).filter((each) => each.id !== container),
    );
  }

  function resourcesOf(container: string): string[] {
    const [name = '', version] = container.split(':');
    const found = packages.get(name)?.find((each) => each.version === version);
    const wanted = [...(found?.manifest.mounts?.values() ?? [])].filter((each) => each.type === 'resource');
    return wanted.flatMap(
      (each) =>
        packages
          .get(each.name)
          ?.map((resource) => resource.id)
          .slice(0, 1) ?? [],
    );
  }

  function start(container: string, command: Command & { type: 'start' }): void {
    const [name = '', version = ''] = container.split(':');
    if (name === 'mount-resource-dir-missing') {
      const detail = { container, resource: 'shared-data', version: '1.0.0' };
      throw new RuntimeError('start_container_missing_resource', 'no such directory', detail);
    }
    const uses = resourcesOf(container);
    for (const each of [container, ...uses]) mount(each);
    attemptId += 1;
    attempts.set(name, [{ ...observedAttempt, id: attemptId, name, version, record: { ...record, version, uses } }]);
    emit({ type: 'started', container });
    const end = options.ends?.(name, command.args ?? [], command.init ?? '') ?? null;
    if (end !== null) setImmediate(() => exit(container, end));
  }

  function exit(container: string, how: Exit): void {
    attempts.delete(container.split(':')[0] ?? '');
    emit({ type: 'exit', container, exit: how });
  }

  function uninstall(container: string): void {
    const [name = ''] = container.split(':');
    umount(container);
    packages = new Map(packages).set(
      name,
      (packages.get(name) ?? []).filter((each) => each.id !== container),
    );
    emit({ type: 'uninstall', container });
  }

  function obey(command: Command): void {
    if (command.type === 'start') start(command.container, command);
    else if (command.type === 'kill') {
      if (![17, 18, 19].includes(command.signal)) exit(command.container, { signal: command.signal });
    } else if (command.type === 'mount') mount(command.container);
    else if (command.type === 'umount') umount(command.container);
    else if (command.type === 'uninstall') uninstall(command.container);
  }

  async function install(
    repository: string,
    size: number,
    pieces: AsyncIterable<Uint8Array>,
  ): Promise<{ container: string; notDurable: string | null }> {
    const limit = limits[repository];
    if (limit === undefined)
      throw new RuntimeError('invalid_repository', 'there is no such repository', { repository });
    const manifest = options.recognise?.(await wholeOf(pieces), repository);
    if (manifest === undefined) throw new Error('failed to read npk');
    const container = `${String(manifest['name'])}:${String(manifest['version'])}`;
    const all = [...packages.values()].flat();
    const same = all.find((each) => each.id === container);
    if (same?.repository === repository) throw new Error(`${container} already in repository`);
    if (same !== undefined) throw new RuntimeError('install_duplicate', `${container} is installed`, { container });
    const held = all.filter((each) => each.repository === repository).length;
    if (held >= (limit.containers ?? Infinity)) throw new Error('max number of container reached');
    if (size > (limit.bytes ?? Infinity)) throw new Error('repository capacity limit reached');
    add(manifest, repository, size);
    emit({ type: 'install', container });
    return { container, notDurable: fake.loss };
  }

  const fake: FakeRuntime = {
    calls: [],
    lines: [],
    tree: new Map([['apiVersion', 'northstate/v1']]),
    texts: {},
    unmet: new Map(),
    archive: [],
    failure: null,
    loss: null,
    failures: [],
    outcome: 'converged',
    signed: false,
    findings: [],
    emit,
    change(operations, changed) {
      status = changed;
      const change = { sequence: changes.last() + 1, operations };
      changes.add(change);
      for (const listener of statusListeners) listener(change);
    },
    state,
    boot: 'this-boot',
    changes,
    pastEvents,
    subscribe(listener) {
      statusListeners.add(listener);
      return () => void statusListeners.delete(listener);
    },
    events(listener) {
      eventListeners.add(listener);
      return () => void eventListeners.delete(listener);
    },
    inTurn: (_, act) => act(),
    async command(command, given) {
      fake.calls.push({ command, ...given });
      await Promise.resolve();
      if (fake.failure !== null) throw fake.failure;
      obey(command);
      return { dataKeptFor: [], notDurable: fake.loss };
    },
    async confirm(of) {
      fake.calls.push({ confirm: of });
      return Promise.resolve({ generation: 1, notDurable: fake.loss });
    },
    async revert(of, origin) {
      fake.calls.push({ revert: of, origin });
      return Promise.resolve({ generation: 1, notDurable: fake.loss });
    },
    async release(which) {
      fake.calls.push({ release: which });
      return Promise.resolve(which === null ? [] : [which]);
    },
    async apply(text, given) {
      fake.calls.push({ apply: text, ...given });
      await Promise.resolve();
      const next = fake.failures.shift();
      if (next !== undefined) throw next;
      if (fake.failure !== null) throw fake.failure;
      return { generation: status.generation + 1 };
    },
    async patch(make, given) {
      await Promise.resolve();
      if (fake.failure !== null) throw fake.failure;
      fake.calls.push({ patch: make(fake.tree), ...given });
      return { generation: status.generation + 1, notDurable: fake.loss };
    },
    async rollback(to, given) {
      fake.calls.push({ rollback: to, ...given });
      await Promise.resolve();
      if (fake.failure !== null) throw fake.failure;
      return { generation: status.generation + 1 };
    },
    document: () => ({ isWritten: true, text: 'apiVersion: northstate/v1\n', effective: fake.tree }),
    explain: (name) => fake.unmet.get(name) ?? null,
    dropOverlay: async (name) => {
      fake.calls.push({ what: 'dropOverlay', name });
      return { generation: 3, dropped: [], notDurable: fake.loss };
    },
    lock(name, ttl, by) {
      fake.calls.push({ lock: name, ttl, by });
      return Promise.resolve(ttl);
    },
    unlock(name, by) {
      fake.calls.push({ unlock: name, by });
      return Promise.resolve();
    },
    notDurable: () => fake.loss,
    async *report() {
      await Promise.resolve();
      yield* fake.archive;
    },
    plan: (text) =>
      Promise.resolve({
        steps: [{ op: 'start', name: 'broker', text: `start broker${text === null ? '' : ' anew'}`, waits: null }],
        findings: fake.findings,
      }),
    lookAtSource: (source) => Promise.resolve({ container: 'added:1.0.0', size: 1000, fetch: source.length }),
    wait(given) {
      fake.calls.push({ wait: given });
      return Promise.resolve({ result: fake.outcome, reason: fake.outcome === 'converged' ? null : 'broker: Failed' });
    },
    history: () => Promise.resolve([generation(1, 'file'), generation(2, 'console')]),
    async textOf(number) {
      const text = await Promise.resolve(fake.texts[number]);
      if (text === undefined) throw new UnknownGeneration(number);
      return text;
    },
    install,
    async *logs(_, { follow, signal }) {
      yield* fake.lines;
      if (follow) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    },
    statistics: () => Promise.resolve({ memory: {} }),
    metrics: () => Promise.resolve({ openmetrics: '# EOF\n', prometheus: '\n', counts: {} }),
    join(name, { does, input }, by) {
      fake.calls.push(['join', name, does, by]);
      return Promise.resolve(fakeSession(input, 'exec' in does && does.exec[0] === '/bin/deaf'));
    },
    takeovers: 0,
    enter: () => Promise.resolve(() => undefined),
    reexec(request) {
      fake.calls.push(['reexec', request]);
      return Promise.resolve({ runtime: '0.0.0', takeovers: 1 });
    },
    runOnce({ name, args, timeout }, by) {
      fake.calls.push(['runOnce', name, args, timeout, by]);
      return Promise.resolve(fakeSession(false, false));
    },
    shutdown() {
      fake.calls.push('shutdown');
      emit({ type: 'shutdown' });
    },
  };
  return fake;
}

/** A session that gives back what it is given, and ends with its input; a deaf one takes nothing. */
function fakeSession(input: boolean, deaf: boolean): ContainerSession {
  const pieces = new PassThrough();
  if (!input) pieces.end('no input\n');
  return {
    container: 'broker:1.2.3',
    async *output() {
      for await (const data of pieces) yield { stream: 'stdout', data: data as Buffer };
    },
    write: (data) =>
      new Promise((resolve) => {
        if (!deaf) pieces.write(data, () => resolve());
      }),
    end: () => void pieces.end(),
    resize: ({ rows, columns }) => void pieces.write(`${rows}x${columns}\n`),
    signal(number) {
      pieces.end(`signal ${number}\n`);
      return Promise.resolve();
    },
    ended: new Promise((resolve) => pieces.on('end', () => resolve({ exit: { code: 0 }, failure: null }))),
    close() {
      pieces.end();
      return Promise.resolve();
    },
  };
}
