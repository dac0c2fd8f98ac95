// Virtual time: events in their order, and what they make promises do before the next one.

export interface Time {
  /** ms. */
  now(): number;
  /** Runs a task `delay` ms from now; tasks of the same instant run in the order in which they were asked for. */
  after(delay: number, task: () => void): void;
  /** Resolves `delay` ms from now. */
  sleep(delay: number): Promise<void>;
  /** Runs the next task and everything that follows from it at once; false when there is none before `end`. */
  step(end: number): Promise<boolean>;
}

interface Task {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

/** A clock that stands at 1000 ms until `step` is called. */
export function createTime(): Time {
  const tasks: Task[] = [];
  let now = 1000;
  let order = 0;

  function after(delay: number, run: () => void): void {
    const task = { at: now + delay, order: order++, run };
    let index = tasks.length;
    while (index > 0 && isLater(tasks[index - 1], task)) index -= 1;
    tasks.splice(index, 0, task);
  }

  return {
    now: () => now,
    after,
    sleep: (delay) => new Promise((resolve) => after(delay, resolve)),
    async step(end) {
      const task = tasks[0];
      if (task === undefined || task.at > end) return false;
      tasks.shift();
      now = Math.max(now, task.at);
      task.run();
      // Every promise that the task has settled, and those that follow, come before this.
      await new Promise((resolve) => setImmediate(resolve));
      return true;
    },
  };
}

function isLater(task: Task | undefined, than: Task): boolean {
  return task !== undefined && (task.at > than.at || (task.at === than.at && task.order > than.order));
}
