// Salts and UUIDs that depend on the input alone, so that the same input is packed into the same bytes.
import { createHash } from 'node:crypto';

/** A salt of 32 bytes, hex. */
export function derivedSalt(...input: readonly (string | number)[]): string {
  return digest('salt', input).toString('hex');
}

/** A UUID of version 8, whose bits are the maker's own (RFC 9562, section 5.8). */
export function derivedUuid(...input: readonly (string | number)[]): string {
  const bytes = digest('uuid', input).subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** Gives a salt in lower case. Throws when it is not hexadecimal digits for at most 256 bytes. */
export function checkedSalt(text: string): string {
  if (!/^(?:[0-9a-f]{2}){0,256}$/i.test(text)) throw new Error('a salt is up to 256 bytes as hexadecimal digits');
  return text.toLowerCase();
}

/** Gives a UUID in lower case. Throws when it is none. */
export function checkedUuid(text: string): string {
  if (!/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)) throw new Error(`"${text}" is no UUID`);
  return text.toLowerCase();
}

function digest(use: string, input: readonly (string | number)[]): Buffer {
  return createHash('sha256')
    .update(JSON.stringify(['northstate', use, ...input]))
    .digest();
}
