// What a step did not find on the host is waited for: the step's name is planned again when the path appears.
import { statSync } from 'node:fs';
import { awaitPath, type AwaitedPath, type AwaitedPorts } from './awaited-path.ts';
import type { Part } from './controller.ts';
import { TerminalError } from './failure.ts';

export interface MissingPaths {
  /** The part, with each path waited for that its acts have missed, as long as their steps are planned. */
  around(part: Part): Part;
  /** Mounts have changed: a path may lead to something now, and no directory tells of that. */
  look(): void;
  close(): void;
}

export interface MissingPathsPorts extends Pick<AwaitedPorts, 'blind' | 'failed'> {
  /** Plans a name again, failures included that no retry mends. */
  readonly look: (name: string) => void;
}

interface Missed {
  readonly op: string;
  readonly path: string;
  readonly awaited: AwaitedPath;
}

/** Nothing is watched before something is missed. */
export function createMissingPaths({ look, ...told }: MissingPathsPorts): MissingPaths {
  /** By name. */
  const missed = new Map<string, readonly Missed[]>();

  function keep(name: string, stays: (one: Missed) => boolean): void {
    const known = missed.get(name);
    if (known === undefined) return;
    const kept = known.filter(stays);
    for (const one of known) if (!kept.includes(one)) one.awaited.close();
    if (kept.length === 0) missed.delete(name);
    else missed.set(name, kept);
  }

  function waitFor(name: string, op: string, path: string): void {
    if (missed.get(name)?.some((one) => one.op === op && one.path === path) === true) return;
    keep(name, (one) => one.op !== op);
    const there = (): void => {
      keep(name, (one) => one.op !== op);
      look(name);
    };
    const awaited = awaitPath(path, { isThere: () => isFile(path), there, ...told });
    missed.set(name, [...(missed.get(name) ?? []), { op, path, awaited }]);
  }

  return {
    around: (part) => {
      const ops = new Set<string>();
      return {
        plan(view) {
          const steps = part.plan(view);
          if (missed.has(view.name)) keep(view.name, ({ op }) => !ops.has(op) || steps.some((step) => step.op === op));
          return steps;
        },
        async act(step, signal) {
          try {
            await part.act(step, signal);
          } catch (error) {
            const path = error instanceof TerminalError ? error.missing : null;
            if (path !== null) {
              ops.add(step.op);
              waitFor(step.name, step.op, path);
            }
            throw error;
          }
        },
      };
    },
    look() {
      for (const all of missed.values()) for (const { awaited } of all) awaited.look();
    },
    close() {
      for (const name of missed.keys()) keep(name, () => false);
    },
  };
}

/** Package files are regular files, and so are namespaces. What cannot be looked at is not there. */
function isFile(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
  } catch {
    return false;
  }
}
