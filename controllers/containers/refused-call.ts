// For which system call a filter has killed an application: the kernel's audit record says it, in its log where no audit
// daemon takes the records. It is kept in the attempt's record, so that it stays known when the log has moved on.
import { setTimeout as delay } from 'node:timers/promises';
import type { Attempt } from '../../native/wire/launcher.ts';
import type { ObservedAttempt } from '../../state/observed.ts';
import { messageOf } from '../../state/errno.ts';
import { SIGSYS } from '../../state/signals.ts';
import { encodeRecord } from './attempt-record.ts';

/** AUDIT_ARCH_* and the number of a system call in that architecture. */
export interface RefusedCall {
  readonly architecture: number;
  readonly number: number;
}

/**
 * What a kernel log says of a process that a filter has killed (audit type 1326, AUDIT_SECCOMP); null when it says nothing.
 * What is older than `since` (ms since 1970) is of another process with this number. What the process says of itself, its name
 * and path, stands behind the number, and in quotes or in hexadecimal.
 */
export function refusedCall(log: string, process: number, since: number): RefusedCall | null {
  const record = /type=1326 audit\((\d+\.\d+):\d+\):.*? pid=(\d+) comm=.* sig=31 arch=([0-9a-f]+) syscall=(\d+) /;
  for (const line of log.split('\n').reverse()) {
    const [, time, pid, architecture, number] = record.exec(line) ?? [];
    if (Number(pid) === process && Number(time) * 1000 >= since)
      return { architecture: Number.parseInt(architecture ?? '', 16), number: Number(number) };
  }
  return null;
}

export interface RefusalsPorts {
  /** The newest of the kernel's log. */
  log(): Promise<string>;
  nameOf(call: RefusedCall): string;
  /** ms since 1970 at a time of CLOCK_BOOTTIME in ms. */
  wallClock(boot: number): number;
  known(name: string, id: number): ObservedAttempt | undefined;
  observe(attempt: ObservedAttempt): void;
  record(id: number, bytes: Uint8Array): Promise<void>;
  failed(container: string, message: string): void;
}

/** The kernel's thread that writes records comes after the death that they are about: ms between the looks at the log. */
const looks = [0, 20, 100, 500];
/** ms by which clocks may differ: a record's time is that of a tick. */
const TICK = 100;

/** Looks for the call when the launcher tells of such an end, once for each attempt. */
export function createRefusals(ports: RefusalsPorts): { seen(attempt: Attempt): void } {
  const asked = new Set<number>();

  async function find({ application, startedAt }: Attempt): Promise<string | null> {
    const since = ports.wallClock(startedAt) - TICK;
    for (const pause of looks) {
      if (pause > 0) await delay(pause);
      const call = refusedCall(await ports.log(), application, since);
      if (call !== null) return ports.nameOf(call);
    }
    return null;
  }

  async function note(attempt: Attempt): Promise<void> {
    const refused = await find(attempt);
    const known = ports.known(attempt.name, attempt.id);
    if (refused === null || known === undefined) return;
    const record = { ...known.record, refused };
    ports.observe({ ...known, record, exit: { signal: SIGSYS, syscall: refused } });
    await ports.record(attempt.id, encodeRecord(record));
  }

  return {
    seen(attempt) {
      const { id, name, exit, application } = attempt;
      const isIt = exit !== null && 'signal' in exit && exit.signal === SIGSYS && application !== 0;
      if (!isIt || asked.has(id) || ports.known(name, id)?.record.refused !== undefined) return;
      asked.add(id);
      note(attempt)
        .catch((error: unknown) => ports.failed(name, messageOf(error)))
        .finally(() => asked.delete(id));
    },
  };
}
