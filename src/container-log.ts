// Containers' lines in our log: as long and as many as a log can bear. What is dropped is counted and said; the
// launcher keeps the last output whole for `logs`.
import type { LogLine } from './runtime.ts';
import type { Log } from './log.ts';

/** Bytes of one line. */
export const longestLine = 1024;
/** Lines that one container may log in a second, and at once. */
export const linesPerSecond = 100;

export type ContainerLog = (name: string, lines: readonly LogLine[]) => void;

interface Allowance {
  credit: number;
  last: number;
  dropped: number;
}

/** Gives the function that logs lines of a container. `now`: ms of a clock that does not jump. */
export function createContainerLog(log: Log, now: () => number): ContainerLog {
  const allowances = new Map<string, Allowance>();

  return (name, lines) => {
    const allowance = allowances.get(name) ?? { credit: linesPerSecond, last: now(), dropped: 0 };
    allowances.set(name, allowance);
    const time = now();
    allowance.credit = Math.min(linesPerSecond, allowance.credit + ((time - allowance.last) * linesPerSecond) / 1000);
    allowance.last = time;
    for (const { stream, line } of lines) {
      if (allowance.credit < 1) {
        allowance.dropped += 1;
        continue;
      }
      allowance.credit -= 1;
      if (allowance.dropped > 0) log.warn({ container: name, lines: allowance.dropped }, 'container logged too fast');
      allowance.dropped = 0;
      log.info({ container: name, stream, line: shortened(line) }, 'container output');
    }
  };
}

function shortened(line: string): string {
  const bytes = Buffer.from(line);
  return bytes.length <= longestLine ? line : `${bytes.subarray(0, longestLine).toString()}...`;
}
