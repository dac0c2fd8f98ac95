// The consoles of containers: a socket pair for each start that asks for one. The launcher keeps our end and what is
// remembered of the conversation, so that the application never notices a reconciler that is started anew.
import { closeSync } from 'node:fs';
import type { ConsoleEnd, Permissions } from '../../controllers/sandbox/start-descriptors.ts';
import { createSocketPair } from '../../native/socket-pair.ts';
import { permissions as northstarPermissions } from '../../state/names.ts';
import type { Channel } from '../console/server/channel.ts';
import { serveConnection, type Listener } from '../console/server/connection.ts';
import { keptChannel } from '../console/server/kept-channel.ts';
import { createKeptFile, openKeptFile, type KeptFile } from '../console/server/kept-file.ts';
import { createMemory } from '../console/protocol/memory.ts';
import type { Log } from '../logs/log.ts';
import type { Launcher } from '../../native/wire/launcher-interface.ts';

export interface ContainerConsoles {
  /** A console for an attempt of a container (name:version): its application's end, and ours is served from now on. */
  open(container: string, attempt: number, permissions: Permissions): Promise<ConsoleEnd>;
  /** Goes on with those that an earlier reconciler has left, and gives up those of attempts that are not alive. */
  adopt(stateOf: (attempt: number) => 'running' | 'starting' | 'over'): void;
  /** The attempt is seen to run: what its application says is answered from now on. */
  began(attempt: number): void;
  /** A watch of the launcher has fired: whether it was one of these. */
  fired(key: number): void;
  /** The attempt has come to its end. */
  ended(attempt: number): void;
}

export interface ContainerConsolesPorts {
  readonly launcher: Pick<Launcher, 'keep' | 'drop' | 'watch' | 'rearm' | 'unwatch'>;
  /** Everything that the launcher has kept, by name. */
  readonly kept: ReadonlyMap<string, number>;
  /** What all of them share; asked for when the first one is served. */
  readonly listener: () => Listener;
  readonly log: Log;
}

const prefix = 'console ';
/** Watches of others have smaller keys. */
const firstKey = 2 ** 40;

export function createContainerConsoles(ports: ContainerConsolesPorts): ContainerConsoles {
  const { launcher, kept, log } = ports;
  const channels = new Map<number, Channel>();
  /** Consoles of applications that are not known to run yet: about themselves they would be told what is not true. */
  const early = new Map<number, { readonly serve: () => void; readonly abandon: () => void }>();
  const waiting = new Map<number, () => void>();
  let memory: ReturnType<typeof createMemory> | null = null;

  function serve(attempt: number, socket: number, file: KeptFile): void {
    const listener = ports.listener();
    const { container, permissions } = file.conversation;
    const requests = new Set<Promise<void>>();
    const armed = new Set<number>();

    async function ready(which: 'readable' | 'writable'): Promise<void> {
      const key = keyOf(attempt, which);
      const { promise, resolve } = Promise.withResolvers<undefined>();
      waiting.set(key, () => resolve(undefined));
      const request = armed.has(key) ? launcher.rearm(key) : launcher.watch(key, which, socket);
      armed.add(key);
      requests.add(request);
      await request.finally(() => requests.delete(request));
      await promise;
    }

    async function release(): Promise<void> {
      channels.delete(attempt);
      for (const key of armed) wake(key);
      // Descriptors stay open until requests that they travel with are answered.
      await Promise.allSettled(requests);
      await Promise.all([...armed].map((key) => launcher.unwatch(key)));
      await Promise.all(names(attempt).map((name) => launcher.drop(name)));
      closeSync(socket);
      closeSync(file.fd);
    }

    const channel = keptChannel({
      socket,
      file,
      limits: listener.limits,
      memory: (memory ??= createMemory(listener.limits.memory)),
      ready,
      ended() {
        release().catch((err: unknown) => log.error({ err, container }, "a container's console cannot be given up"));
      },
    });
    channels.set(attempt, channel);
    void serveConnection(channel, { identity: container, permissions, onlyNorthstar: true }, listener);
  }

  function wake(key: number): void {
    waiting.get(key)?.();
    waiting.delete(key);
  }

  return {
    async open(container, attempt, permissions) {
      const { ours, theirs } = createSocketPair();
      const file = createKeptFile(container, permissions === 'full' ? northstarPermissions : permissions);
      const [socketName, fileName] = names(attempt);
      try {
        await Promise.all([launcher.keep(socketName, ours), launcher.keep(fileName, file.fd)]);
      } catch (error) {
        for (const fd of [ours, theirs, file.fd]) closeSync(fd);
        throw error;
      }
      wait(attempt, ours, file);
      return { fd: theirs, close: () => closeSync(theirs) };
    },
    adopt(stateOf) {
      for (const attempt of attemptsOf(kept)) {
        const [socketName, fileName] = names(attempt);
        const [socket, fd] = [kept.get(socketName), kept.get(fileName)];
        const state = stateOf(attempt);
        if (socket === undefined || fd === undefined || state === 'over')
          abandon({ [socketName]: socket, [fileName]: fd });
        else if (state === 'running') serve(attempt, socket, openKeptFile(fd));
        else wait(attempt, socket, openKeptFile(fd));
      }
    },
    fired: wake,
    began(attempt) {
      early.get(attempt)?.serve();
      early.delete(attempt);
    },
    ended(attempt) {
      early.get(attempt)?.abandon();
      early.delete(attempt);
      channels.get(attempt)?.destroy();
    },
  };

  function wait(attempt: number, socket: number, file: KeptFile): void {
    const [socketName, fileName] = names(attempt);
    early.set(attempt, {
      serve: () => serve(attempt, socket, file),
      abandon: () => abandon({ [socketName]: socket, [fileName]: file.fd }),
    });
  }

  function abandon(descriptors: Readonly<Record<string, number | undefined>>): void {
    for (const [name, fd] of Object.entries(descriptors)) {
      if (fd === undefined) continue;
      closeSync(fd);
      launcher.drop(name).catch((err: unknown) => log.error({ err, name }, 'a descriptor cannot be given up'));
    }
  }
}

function names(attempt: number): [socket: string, file: string] {
  return [`${prefix}${attempt} socket`, `${prefix}${attempt} file`];
}

function attemptsOf(kept: ReadonlyMap<string, number>): ReadonlySet<number> {
  const found = [...kept.keys()].flatMap((name) => /^console (\d+) (?:socket|file)$/.exec(name)?.[1] ?? []);
  return new Set(found.map(Number));
}

function keyOf(attempt: number, which: 'readable' | 'writable'): number {
  return firstKey + 2 * attempt + (which === 'readable' ? 0 : 1);
}
