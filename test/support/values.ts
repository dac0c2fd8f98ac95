// What travels between a test and its reconciler: JSON, and beside it bytes, large integers and descriptors to open.
import { openSync } from 'node:fs';
import { declareSyscall } from '../../native/libc.ts';

const AT_FDCWD = -100;
const OPEN_TREE_CLONE = 1;
const O_CLOEXEC = 0o2000000;
const AT_RECURSIVE = 0x8000;
const openTree = declareSyscall('open_tree', 428, ['int', 'str', 'unsigned int']);

/** Stands for a descriptor that the reconciler opens: of a file, or of a detached copy of the tree at a path. */
export type Descriptor = { readonly file: string; readonly flags: string } | { readonly tree: string };

/** In place of a number: as in a request, where the reconciler opens the descriptor. */
export function opened(descriptor: Descriptor): number {
  return { descriptor } as unknown as number;
}

/** One line of text for a value. */
export function write(value: unknown): string {
  return JSON.stringify(value, function (this: Record<string, unknown>, key, shown: unknown) {
    // Buffers have shown themselves as something else by now: what stands in the object counts.
    const own = this[key];
    if (own instanceof Uint8Array) return { bytes: Buffer.from(own).toString('base64') };
    if (typeof own === 'bigint') return { integer: own.toString() };
    return shown;
  });
}

/** The value of a line. Descriptors are opened: they are the caller's to close. */
export function read(line: string): unknown {
  return JSON.parse(line, (_key, value: unknown) => {
    if (typeof value !== 'object' || value === null) return value;
    if ('bytes' in value && typeof value.bytes === 'string') return Buffer.from(value.bytes, 'base64');
    if ('integer' in value && typeof value.integer === 'string') return BigInt(value.integer);
    if ('descriptor' in value) return open(value.descriptor as Descriptor);
    return value;
  });
}

function open(descriptor: Descriptor): number {
  if ('file' in descriptor) return openSync(descriptor.file, descriptor.flags);
  return openTree(descriptor.tree, AT_FDCWD, descriptor.tree, OPEN_TREE_CLONE | O_CLOEXEC | AT_RECURSIVE);
}
