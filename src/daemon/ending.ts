// The end of the runtime: whoever has it begin, everything goes down in order, and the status of the first counts.
import type { RuntimeEvent } from '../../controllers/events.ts';
import type { GlobalRecordKeeper } from './global-record.ts';

export interface Ending {
  /** The end begins, with this exit status; a successor of this process goes on with it. */
  begin(status: number): void;
  /** Calls the listener when the end begins. */
  onBegin(listener: () => void): void;
  /** The exit status; 0 as long as the end has not begun. */
  status(): number;
}

export function createEnding(record: GlobalRecordKeeper, tell: (event: RuntimeEvent) => void): Ending {
  const listeners: (() => void)[] = [];
  let given: number | null = null;
  return {
    begin(status) {
      if (given !== null) return;
      given = status;
      record.set({ ending: status });
      tell({ type: 'shutdown' });
      for (const listener of listeners) listener();
    },
    onBegin: (listener) => void listeners.push(listener),
    status: () => given ?? 0,
  };
}
