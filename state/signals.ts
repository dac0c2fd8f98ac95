// Signals as people know them (signal(7)), and ends of containers in words.
import { constants } from 'node:os';

/** How a container ended: its exit code, or the signal that ended it. */
export type Exit =
  | { readonly code: number }
  /** `syscall`: the call that its filter has killed it for (SIGSYS), where the kernel's log names it. */
  | { readonly signal: number; readonly syscall?: string };

/** Names that are second ones for the same number. */
const aliases = new Set(['SIGIOT', 'SIGPOLL', 'SIGUNUSED']);
/** 1 to 31: those that have names. */
const named = Object.entries(constants.signals).filter(([, number]) => number >= 1 && number <= 31);
const names = new Map(named.flatMap(([name, number]) => (aliases.has(name) ? [] : [[number, name]])));

/** The numbers of signals 1 to 31 by their names without `SIG`. */
export const signals: ReadonlyMap<string, number> = new Map(
  named.map(([name, number]) => [name.replace(/^SIG/, ''), number]),
);

/** The killer of what makes a system call that its filter does not allow (seccomp(2)). */
export const SIGSYS = constants.signals.SIGSYS;

/** `SIGKILL`; `signal 40` for one that has no name. */
export function signalName(number: number): string {
  return names.get(number) ?? `signal ${number}`;
}

/**
 * `exit code 1`, `SIGKILL`, `SIGSYS (its filter does not allow mount)`; with `, out of memory` when the kernel has killed
 * processes of it for that.
 */
export function exitText(exit: Exit | null, oomKills = 0): string {
  if (exit === null) return 'an unknown status';
  const text = 'code' in exit ? `exit code ${exit.code}` : signalText(exit);
  return oomKills > 0 ? `${text}, out of memory` : text;
}

/** The same in a word or two, for tables: `code 1`, `SIGKILL`, `-` when it has not ended. */
export function exitCell(exit: Exit | null): string {
  if (exit === null) return '-';
  return 'code' in exit ? `code ${exit.code}` : signalName(exit.signal);
}

function signalText({ signal, syscall }: Extract<Exit, { signal: number }>): string {
  const name = signalName(signal);
  return syscall === undefined ? name : `${name} (its filter does not allow ${syscall})`;
}
