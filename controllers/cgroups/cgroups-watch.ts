// What happens in the control groups of running containers and that nobody else tells: processes killed for want of memory
// (where the section has `oom_monitor`), and a container that somebody else froze or thawed. The launcher watches the
// files of the leaves: Node cannot wait for POLLPRI.
import { closeSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { Operation } from 'fast-json-patch';
import type { Logger } from 'pino';
import type { Alarm, MemoryEvents } from './cgroup-alarm.ts';
import type { Cgroups } from './cgroups.ts';
import { sectionOf } from './cgroups-plan.ts';
import type { View } from '../controller.ts';
import type { Attempt } from '../../native/wire/launcher.ts';
import type { ObservedAttempt } from '../../state/observed.ts';
import { parsePointer } from '../../state/text/pointer.ts';
import type { Store } from '../../state/store.ts';
import type { Observing } from '../observing.ts';
import type { Launcher } from '../../native/wire/launcher-interface.ts';
import { containerId, containerName } from '../../state/container-id.ts';
import type { Tell, Telling } from '../events.ts';

/** Keys at the launcher from here on are ours: two for each attempt. */
export const firstGroupKey = 1024;

/** cgroup v1 tells before it kills: ms after which its count is read again, all within what a subscriber is promised. */
const secondLooks = [1, 4, 15, 30, 40];

export interface GroupWatch {
  /** Begins: everything has been observed once. */
  follow(): void;
  /** A watch of the launcher has fired: whether it was one of these. */
  fired(key: number): void;
  /** What the launcher says of an attempt, before anybody else is told: its end may come before its alarm. */
  seen(attempt: Attempt): void;
}

export interface GroupWatchPorts {
  readonly store: Store;
  readonly cgroups: Pick<Cgroups, 'alarm' | 'memoryEvents' | 'observeOne'>;
  readonly observing: Pick<Observing, 'cgroup'>;
  readonly launcher: Pick<Launcher, 'watch' | 'rearm' | 'unwatch'>;
  readonly view: (name: string) => View;
  readonly tell: Tell;
  /** Kills that subscribers know of. */
  readonly told: {
    /** Null: nobody has watched for them. */
    kills(attempt: number): number | null;
    add(telling: Telling): void;
  };
  readonly log: Pick<Logger, 'warn'>;
  readonly failed: (error: unknown) => void;
}

interface Watch {
  readonly kind: 'memory' | 'freeze';
  readonly name: string;
  readonly container: string;
  readonly attempt: number;
}

export function createGroupWatch(ports: GroupWatchPorts): GroupWatch {
  const { store, cgroups, launcher } = ports;
  const watches = new Map<number, Watch>();
  /** By container name, the running attempts that were looked at before. */
  const known = new Map<string, ReadonlySet<number>>();
  const keyOf = (attempt: number, kind: Watch['kind']): number =>
    firstGroupKey + 2 * attempt + (kind === 'memory' ? 1 : 0);

  function look(name: string): void {
    const view = ports.view(name);
    const running = view.attempts.filter(({ state }) => state === 'running');
    const alive = new Set(running.map(({ id }) => id));
    for (const [key, watch] of watches) {
      if (watch.name !== name || alive.has(watch.attempt)) continue;
      watches.delete(key);
      launcher.unwatch(key).catch(ports.failed);
    }
    for (const attempt of running) {
      for (const kind of wantedFor(view, attempt)) {
        const key = keyOf(attempt.id, kind);
        if (!watches.has(key)) begin(key, kind, attempt).catch(ports.failed);
      }
    }
    if (alive.size === 0) known.delete(name);
    else known.set(name, alive);
  }

  async function begin(key: number, kind: Watch['kind'], { name, version, id }: ObservedAttempt): Promise<void> {
    let alarm: Alarm | null = null;
    try {
      alarm = cgroups.alarm(kind, name, id);
    } catch (error) {
      ports.log.warn({ container: name, err: error }, 'control group cannot be watched');
    }
    if (alarm === null) return;
    const watch: Watch = { kind, name, container: containerId(name, version), attempt: id };
    watches.set(key, watch);
    // One that has just started may have lost processes already, and one that was watched before, by whichever process.
    // Of an older one that nobody has watched for, what happened is history.
    if (kind === 'memory' && ports.told.kills(id) === null)
      ports.told.add({ attempt: id, kills: known.get(name)?.has(id) === true ? killsOf(name, id) : 0 });
    try {
      await launcher.watch(key, alarm.kind, alarm.fd);
    } finally {
      closeSync(alarm.fd);
    }
    // Something may have happened between the look that led to the watch and the watch itself.
    if (kind === 'freeze') lookAt(name);
    else if (watches.has(key)) tellKills(watch, cgroups.memoryEvents(name, id));
  }

  function killsOf(name: string, attempt: number): number {
    return cgroups.memoryEvents(name, attempt).oom_kill ?? 0;
  }

  function lookAt(name: string): void {
    ports.observing.cgroup(name, cgroups.observeOne(name));
  }

  async function ring(key: number, watch: Watch): Promise<void> {
    await launcher.rearm(key);
    if (watch.kind === 'freeze') {
      lookAt(watch.name);
      return;
    }
    for (const pause of [0, ...secondLooks]) {
      if (pause > 0) await delay(pause);
      if (!watches.has(key)) return;
      if (tellKills(watch, cgroups.memoryEvents(watch.name, watch.attempt))) return;
    }
  }

  /** An alarm counts only when the kernel has killed: on v1 it also goes off when the group is removed. */
  function tellKills(watch: Pick<Watch, 'container' | 'attempt'>, memory: MemoryEvents): boolean {
    const kills = memory.oom_kill ?? 0;
    if (kills <= (ports.told.kills(watch.attempt) ?? 0)) return false;
    const { container, attempt } = watch;
    ports.log.warn({ container, ...memory }, 'out of memory');
    ports.tell({ type: 'c_group', container, memory }, { attempt, kills });
    ports.told.add({ attempt, kills });
    return true;
  }

  /** Of one that has ended: its leaf may be gone by now, but the launcher has read its count at the end. */
  function tellLast({
    name,
    version,
    id,
    oomKills,
  }: Pick<ObservedAttempt, 'name' | 'version' | 'id' | 'oomKills'>): void {
    const memory = { ...cgroups.memoryEvents(name, id), oom_kill: oomKills };
    tellKills({ container: containerId(name, version), attempt: id }, memory);
  }

  function changed(operations: readonly Operation[]): void {
    const names = new Set<string>();
    for (const { path } of operations) {
      const [top, part, name] = parsePointer(path);
      const concerns = top === 'observed' && (part === 'attempts' || part === 'cgroups' || part === 'packages');
      if (concerns && name !== undefined) names.add(name);
      // An entry's key is its container's name, or that and a version.
      else if (top === 'desired' && part === 'containers' && name !== undefined) names.add(containerName(name));
      else if (concerns || top === 'desired') for (const each of store.get().observed.attempts.keys()) names.add(each);
    }
    names.forEach(look);
  }

  return {
    follow() {
      store.subscribe(changed);
      for (const [name, attempts] of store.get().observed.attempts)
        known.set(name, new Set(attempts.map(({ id }) => id)));
      // What ended while nobody was there.
      for (const attempt of [...store.get().observed.attempts.values()].flat()) {
        if (attempt.exit === null || attempt.oomKills === 0) continue;
        const isWatched = ports.told.kills(attempt.id) !== null;
        if (isWatched || wantedFor(ports.view(attempt.name), attempt).includes('memory')) tellLast(attempt);
      }
      [...store.get().observed.attempts.keys()].forEach(look);
    },
    fired(key) {
      const watch = watches.get(key);
      if (watch !== undefined) ring(key, watch).catch(ports.failed);
    },
    seen({ id, name, exit, oomKills }) {
      if (exit === null || oomKills === 0) return;
      const view = ports.view(name);
      const before = view.attempts.find((each) => each.id === id);
      if (before === undefined) return;
      // Watched before, or over before there was a watch.
      if (ports.told.kills(id) !== null || (before.exit === null && wantedFor(view, before).includes('memory')))
        tellLast({ ...before, oomKills });
    },
  };
}

/** The alarms that a running attempt is to have. */
function wantedFor({ targets, cgroup }: View, { id, version }: ObservedAttempt): Watch['kind'][] {
  const target = targets.find((each) => each.version === version && each.entry.state === 'running');
  const monitored = target !== undefined && sectionOf(target)?.memory?.oom_monitor === true;
  const paused = target?.entry.paused === true || cgroup?.frozen.has(id) === true;
  return [...(monitored ? (['memory'] as const) : []), ...(paused ? (['freeze'] as const) : [])];
}
