// One thing at a time: a task begins when those before it are over, whatever became of them.

export interface SerialQueue {
  /** Runs the task in its turn; settles as it does. */
  run<T>(task: () => Promise<T> | T): Promise<T>;
  /** Resolves when everything that was asked for until now is over. */
  idle(): Promise<void>;
}

export function createSerialQueue(): SerialQueue {
  let last: Promise<unknown> = Promise.resolve();
  return {
    run(task) {
      const result = last.then(task);
      last = result.catch(() => undefined);
      return result;
    },
    async idle() {
      await last;
    },
  };
}

/** A queue for each name: tasks of different names do not wait for each other. */
export function createSerialQueues(): { run<T>(name: string, task: () => Promise<T>): Promise<T> } {
  const queues = new Map<string, { readonly queue: SerialQueue; waiting: number }>();
  return {
    async run(name, task) {
      const own = queues.get(name) ?? { queue: createSerialQueue(), waiting: 0 };
      queues.set(name, own);
      own.waiting += 1;
      try {
        return await own.queue.run(task);
      } finally {
        own.waiting -= 1;
        if (own.waiting === 0) queues.delete(name);
      }
    },
  };
}
