// Pages of programs and libraries that this process has mapped (madvise(2), proc_pid_smaps(5)).
import { readFileSync } from 'node:fs';
import { declare } from './libc.ts';

const MADV_DONTNEED = 4;

const madvise = declare('madvise', 'int', ['uintptr_t', 'size_t', 'int']);

/** A mapping of a file that is read or executed, and of which nothing differs from the file. */
export interface CleanMapping {
  readonly begin: number;
  readonly end: number;
  /** Bytes of it in memory. */
  readonly resident: number;
}

/**
 * Lets go of all pages of this process that are in a file as they are here: the next access finds them in the page cache, or
 * reads them again. Gives the bytes. Throws SyscallError, or the error of reading /proc.
 */
export function releaseFilePages(): number {
  const mappings = cleanMappings(readFileSync('/proc/self/smaps', 'utf8'));
  for (const { begin, end } of mappings) madvise('pages of a file', begin, end - begin, MADV_DONTNEED);
  return mappings.reduce((sum, { resident }) => sum + resident, 0);
}

/**
 * Those in a text of proc_pid_smaps(5) that may be let go of: private, not writable, of a file, and none of their pages was
 * ever written to (relocations are, before the linker makes their mapping read-only), nor is locked.
 */
export function cleanMappings(smaps: string): CleanMapping[] {
  return smaps.split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m).flatMap((text) => {
    const [, begin, end, inode] = /^([0-9a-f]+)-([0-9a-f]+) r-[x-]p \S+ \S+ (\d+)/.exec(text) ?? [];
    if (begin === undefined || end === undefined || inode === '0') return [];
    const resident = kibibytes(text, 'Rss');
    const isClean = ['Anonymous', 'Private_Dirty', 'Swap', 'Locked'].every((field) => kibibytes(text, field) === 0);
    if (!isClean || resident === 0) return [];
    return [{ begin: parseInt(begin, 16), end: parseInt(end, 16), resident: resident * 1024 }];
  });
}

function kibibytes(text: string, field: string): number {
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1] ?? 0);
}
