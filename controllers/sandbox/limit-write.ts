// The write of a limit into a file of a control group.
import type { Op } from '../../native/wire/ops.ts';

/** What fits into a failure beside the value: the end of a path names the file. */
const longest = 160;

export function limitWrite(limit: { readonly fd: number; readonly bytes: Uint8Array; readonly path: string }): Op {
  const { fd, bytes, path } = limit;
  return { op: 'write', fd, bytes, path: path.length > longest ? `...${path.slice(3 - longest)}` : path };
}
