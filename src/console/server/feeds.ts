// What is told to many connections at once: events, and changes of the status. Each is rendered once.
import type { Exit } from '../../../state/observed.ts';
import type { RuntimeEvent } from '../../../controllers/events.ts';
import type { Runtime, StampedEvent } from '../../runtime/runtime.ts';

type Listener = (line: string) => void;

export interface Feeds {
  /** From now on calls the listener with the notification (a line) of every event. */
  joinEvents(listener: Listener): void;
  /** From now on calls the listener with the notification (a line) of every change of the status, and of every lost image. */
  joinStatus(listener: Listener): void;
  /** From now on calls the listener with the notification (a line) of every event with its number and times. */
  joinStamped(listener: Listener): void;
  /** Calls the listener no more. */
  leave(listener: Listener): void;
  close(): void;
}

export function openFeeds(runtime: Runtime): Feeds {
  const forEvents = new Set<Listener>();
  const forStatus = new Set<Listener>();
  const forStamped = new Set<Listener>();

  const endEvents = runtime.events((stamped) => {
    const { event } = stamped;
    tell(event.type === 'integrity_lost' ? forStatus : forEvents, () => eventNotification(event));
    tell(forStamped, () => ({ event: stampedMessage(stamped, runtime.boot) }));
  });
  const endStatus = runtime.subscribe((change) => tell(forStatus, () => ({ status: change })));

  return {
    joinEvents: (listener) => void forEvents.add(listener),
    joinStatus: (listener) => void forStatus.add(listener),
    joinStamped: (listener) => void forStamped.add(listener),
    leave(listener) {
      for (const each of [forEvents, forStatus, forStamped]) each.delete(listener);
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

/** An event with its number and times, as `events` shows it. */
export function stampedMessage({ event, ...stamp }: StampedEvent, boot: string): unknown {
  return { ...stamp, boot, event: eventNotification(event) };
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
