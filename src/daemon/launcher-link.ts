// The reconciler's connection with its launcher. What the launcher tells before there is somebody to act on it is kept until then.
import { connectLauncher } from '../../native/wire/launcher.ts';
import type { Launcher, LauncherEvents, Remembered } from '../../native/wire/launcher-interface.ts';

export type LauncherListener = Partial<Omit<LauncherEvents, 'closed'>>;

export interface LauncherLink {
  readonly launcher: Launcher;
  /** What the launcher has kept for this reconciler. */
  readonly remembered: Remembered;
  /** Has a listener told what it has functions for, after those that came before it. */
  listen(listener: LauncherListener): void;
  /** The init system, or a person, has asked for the end. */
  isAskedToEnd(): boolean;
  /** From now on the listeners are told, first what has come until now. */
  follow(): void;
}

/** Connects over an inherited socket. `closed` is told when the connection has ended, with the error, if any, that ended it. */
export async function linkToLauncher(fd: number, closed: LauncherEvents['closed']): Promise<LauncherLink> {
  const listeners: LauncherListener[] = [];
  const early: ((to: LauncherListener) => void)[] = [];
  let asked = false;
  let deliver = (event: (to: LauncherListener) => void): void => void early.push(event);
  const { launcher, remembered } = await connectLauncher(fd, {
    attempt: (attempt) => deliver((to) => to.attempt?.(attempt)),
    output: (id, begin, end) => deliver((to) => to.output?.(id, begin, end)),
    watch: (key) => deliver((to) => to.watch?.(key)),
    deadline: () => deliver((to) => to.deadline?.()),
    left: (left) => deliver((to) => to.left?.(left)),
    terminate(signal) {
      asked = true;
      deliver((to) => to.terminate?.(signal));
    },
    closed,
  });
  return {
    launcher,
    remembered,
    isAskedToEnd: () => asked || remembered.hello.terminating,
    listen: (listener) => void listeners.push(listener),
    follow() {
      deliver = (event) => listeners.forEach(event);
      early.splice(0).forEach(deliver);
    },
  };
}
