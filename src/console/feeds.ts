// What is told to many connections at once: events, and changes of the status. Each is rendered once.
import type { Exit } from '../../state/observed.ts';
import type { Runtime, RuntimeEvent } from '../runtime.ts';

type Listener = (line: string) => void;

export interface Feeds {
  /** Number of the last change of the status that was told; a new daemon starts over. */
  sequence(): number;
  /** From now on calls the listener with the notification (a line) of every event. */
  joinEvents(listener: Listener): void;
  /** From now on calls the listener with the notification (a line) of every change of the status, and of every lost image. */
  joinStatus(listener: Listener): void;
  /** Calls the listener no more. */
  leave(listener: Listener): void;
  close(): void;
}

export function openFeeds(runtime: Runtime): Feeds {
  const forEvents = new Set<Listener>();
  const forStatus = new Set<Listener>();
  let sequence = 0;

  const endEvents = runtime.events((event) =>
    tell(event.type === 'integrity_lost' ? forStatus : forEvents, () => eventNotification(event)),
  );
  const endStatus = runtime.subscribe((operations) => {
    sequence += 1;
    tell(forStatus, () => ({ status: { operations, sequence } }));
  });

  return {
    sequence: () => sequence,
    joinEvents: (listener) => void forEvents.add(listener),
    joinStatus: (listener) => void forStatus.add(listener),
    leave(listener) {
      forEvents.delete(listener);
      forStatus.delete(listener);
    },
    close() {
      endEvents();
      endStatus();
    },
  };
}

function tell(listeners: ReadonlySet<Listener>, notification: () => unknown): void {
  if (listeners.size === 0) return;
  const line = `${JSON.stringify({ notification: notification() })}\n`;
  for (const listener of listeners) listener(line);
}

function eventNotification(event: RuntimeEvent): unknown {
  if (event.type === 'shutdown') return 'shutdown';
  if (event.type === 'exit') return { exit: [event.container, exitMessage(event.exit)] };
  if (event.type === 'c_group') return { c_group: [event.container, { memory: event.memory }] };
  if (event.type === 'integrity_lost') return { integrity_lost: [event.container, event.how] };
  return { [event.type]: event.container };
}

function exitMessage(exit: Exit): unknown {
  return 'code' in exit ? { exit: { code: exit.code } } : { signalled: { signal: exit.signal } };
}
