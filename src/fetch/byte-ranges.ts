// Several stretches of a file in one answer: multipart/byteranges (RFC 9110, section 14.6; RFC 2046, section 5.1). Each part says
// how long it is, so what it holds is passed on as it comes, and no boundary is searched for in it.
import { FetchError } from './fetch-error.ts';

/** Bytes of the file from `at` on. */
export interface Stretch {
  readonly at: number;
  readonly data: Buffer;
}

/** What stands between two parts: a boundary and a few fields, in bytes. */
export const mostBetween = 1024;

/** The boundary that a Content-Type names; null = it is none of several ranges. */
export function boundaryOf(contentType: string | undefined): string | null {
  const [, quoted, plain] =
    /^multipart\/byteranges\s*;(?:.*;)?\s*boundary=(?:"([^"]{1,70})"|([^\s";]{1,70}))/i.exec(contentType ?? '') ?? [];
  return quoted ?? plain ?? null;
}

/**
 * The parts of a file of `size` bytes, out of a body that is read to its end. Throws FetchError: `changed` when a part is of a
 * file of another size, `final` when it is no such body.
 */
export async function* stretchesOf(
  body: AsyncIterable<Buffer>,
  boundary: string,
  { name, size }: { readonly name: string; readonly size: number },
): AsyncGenerator<Stretch> {
  let between = '';
  let at = 0;
  let left = 0;
  let hasEnded = false;
  for await (const chunk of body) {
    for (let used = 0; used < chunk.length && !hasEnded;) {
      if (left > 0) {
        const data = chunk.subarray(used, used + left);
        yield { at, data };
        at += data.length;
        left -= data.length;
        used += data.length;
        continue;
      }
      const piece = chunk.toString('latin1', used, used + mostBetween - between.length);
      const known = between.length;
      between += piece;
      hasEnded = between.trimStart().startsWith(`--${boundary}--`);
      const end = between.indexOf('\r\n\r\n', between.indexOf(`--${boundary}`) + 1);
      if (hasEnded || (end < 0 && between.length < mostBetween)) break;
      ({ at, left } = placeOf(between.slice(0, Math.max(0, end)), boundary, { name, size }));
      used += end + 4 - known;
      between = '';
    }
  }
  if (!hasEnded) throw new FetchError('again', `${name}: the answer ended in the middle of its parts`);
}

/** Where the part lies that follows its fields. */
function placeOf(
  fields: string,
  boundary: string,
  { name, size }: { readonly name: string; readonly size: number },
): { readonly at: number; readonly left: number } {
  const range = /\r\ncontent-range:[ \t]*bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})[ \t]*(?:\r\n|$)/i.exec(fields);
  const [from = NaN, to = NaN, of = NaN] = (range ?? []).slice(1).map(Number);
  if (!fields.trimStart().startsWith(`--${boundary}`) || !(from <= to && to < of))
    throw new FetchError('final', `${name}: the server answers several ranges with what is none of them`);
  if (of !== size) throw new FetchError('changed', `${name}: the file changed while it was fetched`);
  return { at: from, left: to + 1 - from };
}
