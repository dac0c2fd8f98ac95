// Every console of the runtime: the listeners of the configuration, and what containers are given.
import { randomBytes } from 'node:crypto';
import { bootTime } from '../../native/clock.ts';
import type { Configuration } from '../config/configuration.ts';
import type { Listener, Service } from '../console/server/connection.ts';
import { openFeeds } from '../console/server/feeds.ts';
import { openConsole, type Console } from '../console/server/server.ts';
import { createTokens } from '../console/server/tokens.ts';
import { createMemory } from '../console/protocol/memory.ts';
import { createClientConnections } from './client-connections.ts';
import { createContainerConsoles, type ContainerConsoles } from './container-consoles.ts';
import { createKeptConnections, type KeptConnections } from './kept-connections.ts';
import type { MetricsListener } from '../metrics/metrics-listener.ts';
import type { GlobalRecordKeeper } from './global-record.ts';
import type { Stand } from '../../state/standing.ts';
import type { Log } from '../logs/log.ts';
import type { Runtime } from '../runtime/runtime.ts';
import type { Launcher, Remembered } from '../../native/wire/launcher-interface.ts';
import { defaultLimits } from '../console/protocol/console-limits.ts';

export interface Consoles extends Pick<KeptConnections, 'handOver' | 'takeBack'> {
  readonly containers: ContainerConsoles;
  /** A watch of the launcher has fired: whether it was one of these. */
  fired(key: number): void;
  /** Goes on with what an earlier reconciler has left of containers' consoles. From now on `runtime` is there for them. */
  adopt(runtime: Runtime): void;
  /** Listens. Rejects when one of the listeners cannot be opened. */
  open(runtime: Runtime): Promise<void>;
  /** Those at which this process waits itself. */
  listening(): readonly Pick<Console, 'descriptor' | 'isFile'>[];
  /** Accepts nobody whose connection would not outlive this process, until the function that it gives is called. */
  rest(): () => void;
  /** How many such connections have had no answer yet. */
  unanswered(): number;
  close(): Promise<void>;
}

export interface ConsolesPorts {
  readonly config: Pick<Configuration, 'console' | 'containerConsoles' | 'metrics' | 'documentKeys'>;
  readonly launcher: Launcher;
  readonly remembered: Remembered;
  /** It has the key of all tokens. */
  readonly record: GlobalRecordKeeper;
  readonly log: Log;
  readonly stand: Stand;
  /** Called at each connection of a client. */
  readonly connected: () => void;
  readonly hold: Listener['hold'];
}

export function createConsoles({
  config,
  launcher,
  remembered,
  record,
  log,
  stand,
  connected,
  hold,
}: ConsolesPorts): Consoles {
  const { hello, descriptors: kept } = remembered;
  const tokens = createTokens(tokenKeyOf(record), () => bootTime() - hello.startedAt);
  const shared = { tokens, log, now: bootTime, hold };
  let listeners: readonly Console[] = [];
  let metrics: MetricsListener | null = null;
  let service: Service | null = null;
  // Where documents are signed no command lasts longer than the boot.
  const isSigned = config.documentKeys.length > 0;
  const connections = createKeptConnections({ launcher, kept, log });
  const containers = createContainerConsoles(connections, () => {
    if (service === null) throw new Error("a container's console is asked for before there is a runtime");
    return service;
  });
  const entrances = (): readonly (Console | MetricsListener)[] =>
    metrics === null ? listeners : [...listeners, metrics];
  const clients = createClientConnections({ launcher, connections, log });

  return {
    containers,
    fired(key) {
      if (!clients.fired(key)) connections.fired(key);
    },
    handOver: connections.handOver,
    takeBack: connections.takeBack,
    listening() {
      const own = listeners.filter(({ isFollowed }) => !isFollowed);
      return metrics === null ? own : [...own, metrics];
    },
    adopt(runtime) {
      const { limits } = config.containerConsoles;
      const patches = isSigned ? 'boot' : config.containerConsoles.patches;
      // Its application says the first word when it likes.
      const all = { ...defaultLimits, ...limits, connectTimeout: Infinity };
      const listener = { ...shared, runtime, feeds: openFeeds(runtime), patches, limits: all };
      service = { listener, memory: createMemory(all.memory) };
      const observed = [...runtime.state().observed.attempts.values()].flat();
      const seen = new Map(observed.map((attempt) => [attempt.id, attempt]));
      containers.adopt((id) => {
        const { state, going } = seen.get(id) ?? { state: 'exited', going: false };
        if (state === 'running') return 'running';
        return going ? 'starting' : 'over';
      });
    },
    async open(runtime) {
      const keeper = { kept, keep: launcher.keep };
      const open = config.console.map((each) =>
        openConsole({
          ...each,
          ...(isSigned && { patches: 'boot' }),
          ...shared,
          runtime,
          connected,
          keeper,
          clients,
          stand,
        }),
      );
      listeners = await Promise.all(open);
      clients.abandonRest();
      const at = config.metrics;
      if (at === null) return;
      const { openMetricsListener } = await import('../metrics/metrics-listener.ts');
      metrics = await openMetricsListener({ at, keeper, render: () => runtime.metrics(), hold, log });
    },
    rest() {
      const resting: (() => void)[] = [];
      const goOn = (): void => resting.forEach((each) => each());
      try {
        for (const each of entrances()) resting.push(each.rest());
      } catch (error) {
        goOn();
        throw error;
      }
      return goOn;
    },
    unanswered: () => entrances().reduce((sum, each) => sum + each.unanswered(), 0),
    async close() {
      await Promise.all(entrances().map((each) => each.close()));
    },
  };
}

/** The key that the launcher remembers; a new one, which it is given, at its first start. */
function tokenKeyOf(record: GlobalRecordKeeper): Uint8Array {
  const { tokenKey } = record.get();
  if (tokenKey !== null) return Buffer.from(tokenKey, 'base64');
  const made = randomBytes(32);
  record.set({ tokenKey: made.toString('base64') });
  return made;
}
