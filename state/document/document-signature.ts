// Signatures of documents: ed25519 (RFC 8032), beside the text or as a comment after its end mark.
import { sign, verify, type KeyObject } from 'node:crypto';

/** A key that signatures of documents are judged by. */
export interface DocumentKey {
  /** What tells keys apart in messages. */
  readonly id: string;
  readonly key: KeyObject;
}

const mark = '# northstate-signature: ';
/** 64 bytes in base64. */
const base64 = '[A-Za-z0-9+/]{86}==';
const comment = new RegExp(`^${mark}(${base64})\\r?\\n?$`);
const alone = new RegExp(`^(${base64})\\r?\\n?$`);

/** Bytes of the largest file of a signature that is read: one line. */
export const LARGEST_SIGNATURE = 256;

/** Where the signature of a document lies that is not in it. */
export function signatureFile(document: string): string {
  return `${document}.sig`;
}

/** The signature that a text of its own consists of; null when it is none. */
export function signatureOf(text: string): string | null {
  return alone.exec(text)?.[1] ?? null;
}

/**
 * What of a text its own comment signs: every byte up to and with the line of the end mark, which is the one before the comment. Null
 * when it does not end so; nothing may follow the comment.
 */
export function signedInside(text: string): { readonly signed: string; readonly signature: string } | null {
  const at = text.lastIndexOf(`\n${mark}`) + 1;
  if (at === 0) return null;
  const found = comment.exec(text.slice(at));
  const signed = text.slice(0, at);
  if (found === null || !endsWithMark(signed)) return null;
  return { signed, signature: found[1] ?? '' };
}

/** Whether the last line is the end mark, which a comment may follow. */
export function endsWithMark(text: string): boolean {
  return /(?:^|\n)\.\.\.\r?\n$/.test(text.slice(-6));
}

/** The signature of all bytes of a text. */
export function signText(text: string, key: KeyObject): string {
  return sign(null, Buffer.from(text), key).toString('base64');
}

/** The text with its signature in it. Throws when it does not end with the line of an end mark. */
export function signInside(text: string, key: KeyObject): string {
  const { signed } = signedInside(text) ?? { signed: text };
  if (!endsWithMark(signed)) throw new Error('it does not end with a line "...", which the signature would follow');
  return `${signed}${mark}${signText(signed, key)}\n`;
}

/** The key with which a text is signed, by the comment in it or by `beside`, which is of all of its bytes; null = with none of them. */
export function signerOf(text: string, beside: string | null, keys: readonly DocumentKey[]): DocumentKey | null {
  const inside = signedInside(text);
  const given = [
    ...(inside === null ? [] : [inside]),
    ...(beside === null ? [] : [{ signed: text, signature: beside }]),
  ];
  for (const { signed, signature } of given) {
    const [bytes, over] = [Buffer.from(signature, 'base64'), Buffer.from(signed)];
    const found = bytes.length === 64 ? keys.find(({ key }) => verify(null, over, key, bytes)) : undefined;
    if (found !== undefined) return found;
  }
  return null;
}
