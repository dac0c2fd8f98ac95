// What goes on until somebody stops it: each stream has a connection of its own, and goes on where it was when that ends.
import type { Operation } from 'fast-json-patch';
import type { Status } from '../../state/status.ts';
import type { Change, Gap, Notification, StampedEvent } from '../console/protocol/answers.ts';
import { consoleError, type Client } from './console-client.ts';
import type { LogLine } from '../runtime/runtime.ts';
import { applied } from '../../state/text/operations.ts';

/** Where a watcher has been: what it had then, so that it may go on from there. */
export interface WatchPlace {
  readonly boot: string;
  readonly sequence: number;
  readonly status: Status;
}

/** The status after a change. `operations` lead to it from the one before; null where it is told as a whole. */
export interface Watched extends WatchPlace {
  readonly operations: readonly Operation[] | null;
  /** Changes before this were missed and are not kept any more: what came of them is in the status. */
  readonly gap: Gap | null;
}

/** Connections one after the other: the next when the one before has ended. None after the first when `again` is false. */
export type Connections = () => AsyncGenerator<Client, void, undefined>;

/** Every status from the present one on, or from the place given. */
export async function* watch(connections: Connections, from: WatchPlace | null): AsyncGenerator<Watched> {
  let place = from;
  for await (const client of connections()) {
    const since = place === null ? null : place.sequence;
    const { boot, sequence, status, missed, gap } = await client.call('watch', { since, boot: place?.boot ?? null });
    if (status !== null) {
      place = { boot, sequence, status };
      yield { ...place, operations: null, gap };
    }
    for await (const change of changesOf(client, missed)) {
      if (place === null) break;
      place = { boot, sequence: change.sequence, status: applied(place.status, change.operations) };
      yield { ...place, operations: change.operations, gap: null };
    }
  }
}

async function* changesOf(client: Client, missed: readonly Change[]): AsyncGenerator<Change> {
  yield* missed;
  for await (const notification of client.notifications()) {
    if (isOf(notification, 'status')) yield notification.status;
  }
}

export interface EventsOptions {
  /** The number of the last event that was seen, and the boot that it counts in. */
  readonly since?: number;
  readonly boot?: string;
  readonly follow?: boolean;
}

/** What `events` gives: an event, or that some are not kept any more. */
export type EventOrGap = StampedEvent | { readonly gap: Gap };

/** The events that are kept, oldest first, and with `follow` what comes. */
export async function* events(connections: Connections, options: EventsOptions): AsyncGenerator<EventOrGap> {
  const { follow = false } = options;
  let since = options.since ?? null;
  let boot = options.boot ?? null;
  for await (const client of connections()) {
    const answer = await client.call('events', { since, boot, follow });
    boot = answer.boot;
    if (answer.gap !== null) yield { gap: answer.gap };
    for (const event of answer.events) {
      since = event.sequence;
      yield event;
    }
    if (!follow) return;
    since ??= answer.sequence;
    for await (const notification of client.notifications()) {
      if (!isOf(notification, 'event')) continue;
      since = notification.event.sequence;
      yield notification.event;
    }
  }
}

export interface LogsOptions {
  /** ms since the epoch */
  readonly since?: number | null;
  readonly follow?: boolean;
  /** Refuse unless this is the boot. */
  readonly boot?: string;
  /** What the run before the last one has written. */
  readonly previous?: boolean;
}

/** The kept lines of a container's output, and with `follow` what comes. */
export async function* logs(connections: Connections, name: string, options: LogsOptions): AsyncGenerator<LogLine> {
  const { follow = false, boot, previous } = options;
  let since = options.since ?? null;
  /** The time of the newest line, and how many lines of that very time were given. */
  let newest = 0;
  let seen = 0;
  for await (const client of connections()) {
    let skip = seen;
    await client.call('logs', { name, since, follow, boot, previous });
    for await (const notification of client.notifications()) {
      if (isOf(notification, 'log_end')) {
        if (notification.log_end.error !== null) throw consoleError(notification.log_end.error);
        return;
      }
      if (!isOf(notification, 'log')) continue;
      const { time, stream, line } = notification.log;
      if (time < newest || (time === newest && skip-- > 0)) continue;
      seen = time === newest ? seen + 1 : 1;
      newest = time;
      since = Math.floor(time);
      yield { time, stream, line };
    }
  }
}

/** The bytes of a report's archive. */
export async function* report(connections: Connections): AsyncGenerator<Buffer> {
  for await (const client of connections()) {
    await client.call('report', null);
    let size = 0;
    for await (const notification of client.notifications()) {
      if (isOf(notification, 'report')) {
        const piece = Buffer.from(notification.report.data, 'base64');
        size += piece.length;
        yield piece;
      }
      if (!isOf(notification, 'report_end')) continue;
      if (notification.report_end.error !== null) throw consoleError(notification.report_end.error);
      if (notification.report_end.size !== size) throw new Error('the report did not arrive whole');
      return;
    }
    throw new Error('the console ended the connection within the report');
  }
}

type Named<K extends string> = Extract<Notification, Readonly<Record<K, unknown>>>;

function isOf<K extends string>(notification: Notification, name: K): notification is Named<K> {
  return typeof notification === 'object' && name in notification;
}
