// Orders and replies, lines of JSON, over the console of a machine whose power may go at any moment.
import { createInterface } from 'node:readline';
import type { Machine } from './boot.ts';

export interface Conversation<Reply extends object> {
  /** The next reply, null when the power has gone. Rejects when the machine stops by itself, or says nothing for `patience` ms. */
  reply(): Promise<Reply | null>;
  send(order: object): void;
  /** The power goes; resolves when it has gone. */
  cut(): Promise<void>;
  /** Resolves when the machine has switched itself off. */
  readonly ended: Promise<void>;
}

/** Replies are the lines that begin with a brace; what else the machine says is shown when it fails. */
export function converse<Reply extends object>(machine: Machine, patience: number): Conversation<Reply> {
  const lines = createInterface({ input: machine.output })[Symbol.asyncIterator]();
  const said: string[] = [];
  let isCut = false;
  const failed = (how: string) => new Error(`the machine ${how}; it had said:\n${said.slice(-40).join('\n')}`);
  let late = false;
  return {
    ended: machine.ended,
    async reply() {
      const timer = setTimeout(() => {
        late = true;
        machine.kill();
      }, patience);
      try {
        for (;;) {
          const { value: line, done } = await lines.next();
          if (isCut) return null;
          if (late) throw failed(`was silent for ${patience / 1000} s`);
          if (done === true) throw failed('stopped by itself');
          if (line.startsWith('{')) return JSON.parse(line) as Reply;
          said.push(line);
        }
      } finally {
        clearTimeout(timer);
      }
    },
    send: (order) => void machine.input.write(`${JSON.stringify(order)}\n`),
    cut() {
      isCut = true;
      machine.kill();
      return machine.ended;
    },
  };
}
