// pipe(2): Node makes none by itself.
import { declare } from './libc.ts';

const O_CLOEXEC = 0x80000;

const pipe2 = declare('pipe2', 'int', ['void *', 'int']);

/** A pipe: the end to read from, and the one to write to. Throws SyscallError. */
export function makePipe(subject: string): { readonly reader: number; readonly writer: number } {
  const ends = new Int32Array(2);
  pipe2(subject, ends, O_CLOEXEC);
  const [reader = -1, writer = -1] = ends;
  return { reader, writer };
}
