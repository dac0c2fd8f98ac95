// Extended attributes of files (xattr(7)): access control lists, security labels and what users attach.
import { declare } from './libc.ts';
import { hasErrno } from '../state/errno.ts';

const longest = 65536; // XATTR_LIST_MAX and XATTR_SIZE_MAX of the kernel
const listxattr = declare('listxattr', 'long', ['str', 'void *', 'size_t']);
const getxattr = declare('getxattr', 'long', ['str', 'str', 'void *', 'size_t']);
const setxattr = declare('setxattr', 'int', ['str', 'str', 'void *', 'size_t', 'int']);

/** The attributes of a file by their full names, such as `user.origin`. Throws SyscallError. */
export function readAttributes(path: string): ReadonlyMap<string, Buffer> {
  const list = Buffer.alloc(longest);
  const names = list
    .toString('utf8', 0, listxattr(path, path, list, longest))
    .split('\0')
    .slice(0, -1);
  const value = Buffer.alloc(names.length === 0 ? 0 : longest);
  return new Map(
    names.map((name) => {
      const length = getxattr(`${path} ${name}`, path, name, value, longest);
      return [name, Buffer.from(value.subarray(0, length))];
    }),
  );
}

/** Sets one attribute of a file. Throws SyscallError. */
export function writeAttribute(path: string, name: string, value: Uint8Array): void {
  setxattr(`${path} ${name}`, path, name, value, value.length, 0);
}

/** Gives a file the attributes that another has. Throws SyscallError; a file system without attributes has none to give. */
export function copyAttributes(from: string, to: string): void {
  const attributes = attributesOf(from);
  if (attributes.size === 0) return;
  const there = attributesOf(to);
  for (const [name, value] of attributes) if (there.get(name)?.equals(value) !== true) writeAttribute(to, name, value);
}

function attributesOf(path: string): ReadonlyMap<string, Buffer> {
  try {
    return readAttributes(path);
  } catch (error) {
    if (hasErrno(error, 'EOPNOTSUPP')) return new Map();
    throw error;
  }
}

/** One attribute of a file, null when it has none of that name. Throws SyscallError. */
export function readAttribute(path: string, name: string): Buffer | null {
  const value = Buffer.alloc(longest);
  try {
    return value.subarray(0, getxattr(`${path} ${name}`, path, name, value, longest));
  } catch (error) {
    if (hasErrno(error, 'ENODATA')) return null;
    throw error;
  }
}
