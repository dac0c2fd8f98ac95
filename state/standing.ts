// Conditions of the runtime itself: what it cannot do at present, told in the status until it can.
import type { RuntimeCondition, RuntimeConditionType } from './status.ts';
import type { Store } from './store.ts';

/** Says that a condition stands for a subject (a path as a rule), and why; null = it does not any more. */
export type Stand = (type: RuntimeConditionType, subject: string, message: string | null) => void;

interface Log {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

/** Keeps the conditions in the store, with the time (RFC 3339) at which each began. The log hears of one when it begins and when it ends. */
export function createStanding(store: Store, log: Log, now = () => new Date().toISOString()): Stand {
  return (type, subject, message) => {
    const key = `${type} ${subject}`;
    const before = store.get().conditions.get(key);
    if ((before?.message ?? null) === message) return;
    const since = before?.since ?? now();
    const next: RuntimeCondition | null = message === null ? null : { type, subject, message, since };
    store.update(({ conditions }) => {
      if (next === null) conditions.delete(key);
      else conditions.set(key, next);
    });
    if (next === null) log.info({ subject, condition: type }, 'a condition of the runtime is over');
    else if (before === undefined)
      log.warn({ subject, condition: type, reason: message }, 'a condition of the runtime');
  };
}
