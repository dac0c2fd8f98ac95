// What is told to many connections at once: events, and changes of the status. Each is rendered once.
import type { Exit } from '../../../state/signals.ts';
import type { RuntimeEvent } from '../../../controllers/events.ts';
import type { Runtime, StampedEvent, StatusChange } from '../../runtime/runtime.ts';
import type { Place } from '../protocol/outbox.ts';

type Listener = (line: string, place?: Place) => void;

export interface Feeds {
  /** The number of the newest event. */
  lastEvent(): number;
  /** Calls the listener with the notification (a line) of every event after that number; false: they are not kept any more. */
  joinEvents(listener: Listener, after: number): boolean;
  /**
   * From now on calls the listener with the notification (a line) of every change of the status, and of every lost image;
   * with `after` first with those of the changes after that number; false: they are not kept any more.
   */
  joinStatus(listener: Listener, after?: number): boolean;
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
    if (isForStatus(event)) tell(forStatus, () => eventNotification(event));
    else if (isNorthstars(event)) tell(forEvents, () => eventNotification(event), { event: stamped.sequence });
    tell(forStamped, () => ({ event: stampedMessage(stamped, runtime.boot) }));
  });
  const tellChange = (to: ReadonlySet<Listener>, change: StatusChange): void =>
    tell(to, () => ({ status: change }), { change: change.sequence });
  // Changes that nobody is told of need not be rendered: there is a listener as long as there is somebody to tell.
  let endStatus: (() => void) | null = null;
  const followStatus = (): void => {
    if (forStatus.size === 0) {
      endStatus?.();
      endStatus = null;
    } else endStatus ??= runtime.subscribe((change) => tellChange(forStatus, change));
  };

  return {
    lastEvent: () => runtime.pastEvents.last(),
    joinEvents(listener, after) {
      const missed = runtime.pastEvents.since(after);
      if (missed === null) return false;
      for (const { sequence, event } of missed) {
        if (isNorthstars(event)) tell(new Set([listener]), () => eventNotification(event), { event: sequence });
      }
      forEvents.add(listener);
      return true;
    },
    joinStatus(listener, after) {
      const missed = after === undefined ? [] : runtime.changes.since(after);
      for (const change of missed ?? []) tellChange(new Set([listener]), change);
      if (missed === null) return false;
      forStatus.add(listener);
      followStatus();
      return true;
    },
    joinStamped: (listener) => void forStamped.add(listener),
    leave(listener) {
      for (const each of [forEvents, forStatus, forStamped]) each.delete(listener);
      followStatus();
    },
    close() {
      endEvents();
      endStatus?.();
    },
  };
}

/** Of those who look into containers, and of what these hold up: told by `events`. */
const ours: ReadonlySet<RuntimeEvent['type']> = new Set([
  'session',
  'session_end',
  'run_once',
  'run_once_end',
  'locked',
  'unlocked',
]);

/** Whether Northstar's clients know it. */
function isNorthstars(event: RuntimeEvent): boolean {
  return !isForStatus(event) && !ours.has(event.type);
}

/** Whether those are told that watch the status. */
function isForStatus({ type }: RuntimeEvent): boolean {
  return type === 'integrity_lost' || type === 'boot_plan' || type === 'trial' || type === 'data';
}

function tell(listeners: ReadonlySet<Listener>, notification: () => unknown, place: Place = {}): void {
  if (listeners.size === 0) return;
  const line = `${JSON.stringify({ notification: notification() })}\n`;
  for (const listener of listeners) listener(line, place);
}

/** An event with its number and times, as `events` shows it. */
export function stampedMessage({ event, of: _, ...stamp }: StampedEvent, boot: string): unknown {
  return { ...stamp, boot, event: eventNotification(event) };
}

function eventNotification(event: RuntimeEvent): unknown {
  if (event.type === 'shutdown') return 'shutdown';
  if (event.type === 'exit') return { exit: [event.container, exitMessage(event.exit)] };
  if (event.type === 'c_group') return { c_group: [event.container, { memory: event.memory }] };
  if (event.type === 'integrity_lost') return { integrity_lost: [event.container, event.how] };
  if (event.type === 'data') return { data: [event.container, event.what] };
  if (event.type === 'session') {
    const { by, does, privileged } = event;
    return { session: [event.container, { by, does, privileged }] };
  }
  if (event.type === 'run_once') return { run_once: [event.container, { by: event.by }] };
  if (event.type === 'session_end' || event.type === 'run_once_end')
    return { [event.type]: [event.container, { by: event.by, ...exitMessage(event.exit) }] };
  if (event.type === 'locked' || event.type === 'unlocked')
    return { [event.type]: [event.container, { by: event.by }] };
  if (event.type === 'boot_plan') {
    const { started, left, refused } = event;
    return { boot_plan: { started, left, refused } };
  }
  if (event.type === 'trial') {
    const { state, generation, confirmed, reason } = event;
    return { trial: { state, generation, confirmed, reason } };
  }
  return { [event.type]: event.container };
}

function exitMessage(exit: Exit): object {
  return 'code' in exit ? { exit: { code: exit.code } } : { signalled: { signal: exit.signal } };
}
