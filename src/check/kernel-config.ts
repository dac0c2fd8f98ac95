// What a kernel was built with, as far as it tells: its configuration, its modules, its symbols.
import { existsSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import { gunzipSync } from 'node:zlib';
import type { Presence } from './feature.ts';

/** The text of a file, null when it cannot be read. */
export function textOf(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // Whatever the reason, it is not there to be read: the caller says what that means.
    return null;
  }
}

let known: string | null | undefined;

/** The configuration that the kernel carries (CONFIG_IKCONFIG_PROC), or that lies beside it in /boot; null = neither. */
function configuration(): string | null {
  known ??= existsSync('/proc/config.gz')
    ? gunzipSync(readFileSync('/proc/config.gz')).toString('utf8')
    : textOf(`/boot/config-${release()}`);
  return known;
}

/** Whether an option such as `CONFIG_SQUASHFS` was on, as part of the kernel or as a module. */
export function hasOption(option: string): Presence {
  const text = configuration();
  if (text === null) return 'unknown';
  return new RegExp(`^${option}=[ym]$`, 'm').test(text) ? 'present' : 'absent';
}

/** Whether a function is part of the running kernel or of a module that is loaded. */
export function hasSymbol(name: string): Presence {
  const text = textOf('/proc/kallsyms');
  if (text === null || text === '') return 'unknown';
  return new RegExp(` ${name}(\\t|$)`, 'm').test(text) ? 'present' : 'absent';
}

/** Whether a module is installed for the running kernel, or part of it: it is then loaded when it is needed (modprobe(8)). */
export function hasModule(name: string): boolean {
  const file = new RegExp(`/${name.replaceAll(/[-_]/g, '[-_]')}\\.ko(\\.|:|$)`, 'm');
  const directory = `/lib/modules/${release()}`;
  return ['modules.dep', 'modules.builtin'].some((list) => file.test(textOf(`${directory}/${list}`) ?? ''));
}
