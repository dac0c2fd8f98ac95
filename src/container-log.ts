// Containers' lines in our log: as long and as many as a log can bear. What is dropped is counted and said; the
// launcher keeps the last output whole for `logs`.
import type { LogLine } from './runtime.ts';
import type { Log } from './log.ts';

/** Bytes of one line. */
export const longestLine = 1024;
/** Lines that one container may log in a second, and at once. */
export const linesPerSecond = 100;

/**
 * Logs lines of a container. `lost`: bytes before them that the launcher has dropped. Gives how many ms nothing more is logged
 * of it: what comes until then need not be read.
 */
export type ContainerLog = (name: string, lines: readonly LogLine[], lost: number) => number;

interface Allowance {
  credit: number;
  last: number;
  dropped: number;
  lost: number;
}

/** Gives the function that logs lines of a container. `now`: ms of a clock that does not jump. */
export function createContainerLog(log: Log, now: () => number): ContainerLog {
  const allowances = new Map<string, Allowance>();

  return (name, lines, lost) => {
    const allowance = allowances.get(name) ?? { credit: linesPerSecond, last: now(), dropped: 0, lost: 0 };
    allowances.set(name, allowance);
    const time = now();
    allowance.credit = Math.min(linesPerSecond, allowance.credit + ((time - allowance.last) * linesPerSecond) / 1000);
    allowance.last = time;
    allowance.lost += lost;
    for (const { stream, line } of lines) {
      if (allowance.credit < 1) {
        allowance.dropped += 1;
        continue;
      }
      allowance.credit -= 1;
      const { dropped, lost: bytes } = allowance;
      if (dropped > 0 || bytes > 0) log.warn({ container: name, lines: dropped, bytes }, 'container logged too fast');
      allowance.dropped = allowance.lost = 0;
      log.info({ container: name, stream, line: shortened(line) }, 'container output');
    }
    return allowance.credit < 1 ? ((linesPerSecond - allowance.credit) / linesPerSecond) * 1000 : 0;
  };
}

function shortened(line: string): string {
  const bytes = Buffer.from(line);
  return bytes.length <= longestLine ? line : `${bytes.subarray(0, longestLine).toString()}...`;
}
