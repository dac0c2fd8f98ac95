// Containers' lines in our log: as long and as many as a log can bear. What is dropped is counted and said; the
// launcher keeps the last output whole for `logs`.
import type { OutputLevel } from '../../state/names.ts';
import type { Observed } from '../../state/observed.ts';
import type { LogLine } from '../runtime/runtime.ts';
import type { Log } from './log.ts';
import { containerId } from '../../state/container-id.ts';

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

/** How the lines of a stream are logged: as whose (name:version, or a tag of the older dialect), and at which level. */
export interface Style {
  readonly target: string;
  readonly level: OutputLevel;
}

/** Gives the function that logs lines of a container. `now`: ms of a clock that does not jump. */
export function createContainerLog(
  log: Log,
  now: () => number,
  style: (name: string, stream: LogLine['stream']) => Style,
): ContainerLog {
  const allowances = new Map<string, Allowance>();

  return (name, lines, lost) => {
    const allowance = allowances.get(name) ?? { credit: linesPerSecond, last: now(), dropped: 0, lost: 0 };
    allowances.set(name, allowance);
    const time = now();
    allowance.credit = Math.min(linesPerSecond, allowance.credit + ((time - allowance.last) * linesPerSecond) / 1000);
    allowance.last = time;
    allowance.lost += lost;
    for (const { stream, line } of lines) {
      const { target, level } = style(name, stream);
      // What the log does not show at its level costs as much, and is missed by nobody.
      const shown = log.isLevelEnabled(level);
      if (allowance.credit < 1) {
        if (shown) allowance.dropped += 1;
        continue;
      }
      allowance.credit -= 1;
      if (!shown) continue;
      const { dropped, lost: bytes } = allowance;
      if (dropped > 0 || bytes > 0) log.warn({ container: name, lines: dropped, bytes }, 'container logged too fast');
      allowance.dropped = allowance.lost = 0;
      log[level]({ container: name, target, stream, line: shortened(line) }, 'container output');
    }
    return allowance.credit < 1 ? ((linesPerSecond - allowance.credit) / linesPerSecond) * 1000 : 0;
  };
}

function shortened(line: string): string {
  const bytes = Buffer.from(line);
  return bytes.length <= longestLine ? line : `${bytes.subarray(0, longestLine).toString()}...`;
}

/** The style of what runs, or ran last, under a name: that of the older dialect where its package says one, else `level`. */
export function styleOf(
  { attempts, packages }: Observed,
  name: string,
  stream: LogLine['stream'],
  level: OutputLevel,
): Style {
  const version = attempts.get(name)?.at(-1)?.version ?? '';
  const logs = packages.get(name)?.find((found) => found.version === version)?.logs;
  const said = logs?.get(stream);
  return said === undefined ? { target: containerId(name, version), level } : { target: said.tag, level: said.level };
}
