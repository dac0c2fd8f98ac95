// What a boot plan has done, as the log of a daemon tells it.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { patience } from './patience.ts';
import type { Daemon } from './test-daemon.ts';

/** Where the boot plan lies. */
export const planOf = (daemon: Pick<Daemon, 'directory'>): string => join(daemon.directory, 'state/boot.plan');

/** Waits until the plan of what has converged is there, another one than `before`. */
export async function planned(daemon: Daemon, before: Uint8Array | null = null): Promise<Buffer> {
  await daemon.until('converged', ({ converged }) => converged);
  const late = performance.now() + patience;
  while (performance.now() < late) {
    const plan = existsSync(planOf(daemon)) ? readFileSync(planOf(daemon)) : null;
    if (plan !== null && (before === null || !plan.equals(before))) return plan;
    await delay(20);
  }
  throw new Error(`no boot plan:\n${daemon.log()}`);
}

export interface Line {
  readonly msg: string;
  readonly op?: string;
  readonly container?: string;
  readonly started?: number;
  readonly left?: readonly string[];
  readonly reason?: string;
  readonly unkept?: string | null;
}

/** What the log says from the last start of the launcher on, whatever reconcilers it has started. */
export function lastBoot(daemon: Daemon): readonly Line[] {
  const lines = readFileSync(join(daemon.directory, 'log'), 'utf8').trim().split('\n');
  const start = lines.findLastIndex((line) => /"starts":1,.*"the reconciler has started"/.test(line));
  return lines
    .slice(start)
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Line);
}

/** The steps since then, as `OP CONTAINER`. */
export const stepsOf = (daemon: Daemon): string[] =>
  lastBoot(daemon).flatMap(({ msg, op = '', container = '' }) =>
    msg.startsWith('step') ? [`${op} ${container}`] : [],
  );
