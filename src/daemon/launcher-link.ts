// The reconciler's connection with its launcher. What the launcher tells before there is somebody to act on it is kept until then.
import { connectLauncher } from '../../native/wire/launcher.ts';
import type { Launcher, LauncherEvents, Remembered } from '../../native/wire/launcher-interface.ts';

export interface LauncherLink {
  readonly launcher: Launcher;
  /** What the launcher has kept for this reconciler. */
  readonly remembered: Remembered;
  /** From now on everything is told to these, what was kept first. */
  follow(events: Omit<LauncherEvents, 'closed'>): void;
}

/** Connects over an inherited socket. `closed` is told when the connection has ended, with the error, if any, that ended it. */
export async function linkToLauncher(fd: number, closed: LauncherEvents['closed']): Promise<LauncherLink> {
  type Events = Omit<LauncherEvents, 'closed'>;
  const early: ((events: Events) => void)[] = [];
  let deliver = (event: (events: Events) => void): void => void early.push(event);
  const { launcher, remembered } = await connectLauncher(fd, {
    attempt: (attempt) => deliver((to) => to.attempt(attempt)),
    output: (id, begin, end) => deliver((to) => to.output(id, begin, end)),
    watch: (key) => deliver((to) => to.watch(key)),
    deadline: () => deliver((to) => to.deadline()),
    terminate: (signal) => deliver((to) => to.terminate(signal)),
    closed,
  });
  return {
    launcher,
    remembered,
    follow(events) {
      deliver = (event) => event(events);
      early.forEach(deliver);
    },
  };
}
