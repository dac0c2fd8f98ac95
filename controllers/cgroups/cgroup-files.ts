// Reading, writing and opening control files. Reads happen in place: a control file never waits for a disk.
import { closeSync, constants, openSync, readFileSync, write, writeSync } from 'node:fs';
import { promisify } from 'node:util';
import { TerminalError } from '../failure.ts';
import { errnoOf, messageOf } from '../../state/errno.ts';

const writeTo = promisify(write) as (fd: number, text: string) => Promise<unknown>;

/** The text of a control file without its last newline; null when the file or its group is missing. */
export function readControl(file: string): string | null {
  try {
    return readFileSync(file, 'utf8').trimEnd();
  } catch (error) {
    // ENODEV: the group went while the file was open.
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENODEV') return null;
    throw error;
  }
}

/**
 * Writes one value. On another thread unless `inPlace`: it may wait for processes that are moved, while opening and closing wait for nobody.
 * Rejects with TerminalError (CgroupRefused) that names file, value and errno.
 */
export async function writeControl(file: string, value: string, inPlace = false): Promise<void> {
  try {
    const fd = openSync(file, constants.O_WRONLY);
    try {
      if (inPlace) writeSync(fd, value);
      else await writeTo(fd, value);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw new TerminalError('CgroupRefused', `cgroups: ${file} refuses "${value}": ${codeOf(error)}`, { cause: error });
  }
}

/** Bare descriptors, close-on-exec, that are closed together. */
export interface Descriptors {
  /** Throws TerminalError (CgroupRefused), after closing those that are open already. */
  open(path: string, flags: number): number;
  close(): void;
}

export function openDescriptors(): Descriptors {
  const opened: number[] = [];
  const close = () => opened.splice(0).forEach((fd) => closeSync(fd));
  return {
    open(path, flags) {
      try {
        const fd = openSync(path, flags);
        opened.push(fd);
        return fd;
      } catch (error) {
        close();
        throw new TerminalError('CgroupRefused', `cgroups: cannot open ${path}: ${codeOf(error)}`, { cause: error });
      }
    },
    close,
  };
}

/** The symbolic errno of an error of node:fs, else its message. */
export function codeOf(error: unknown): string {
  return errnoOf(error) ?? messageOf(error);
}
