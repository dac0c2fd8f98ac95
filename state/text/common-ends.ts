// What two texts, or two runs of bytes, have in common at their begin and at their end.

type Units = string | Uint8Array;

/** How many characters, or bytes, the two have in common at their begin. */
export function sameBegin<T extends Units>(a: T, b: T): number {
  const [one, other] = [unitAt(a), unitAt(b)];
  const most = Math.min(a.length, b.length);
  let at = 0;
  while (at < most && one(at) === other(at)) at += 1;
  return at;
}

/** The same at their end, of what comes after so many. */
export function sameEndAfter<T extends Units>(a: T, b: T, begin: number): number {
  const [one, other] = [unitAt(a), unitAt(b)];
  const most = Math.min(a.length, b.length) - begin;
  let count = 0;
  while (count < most && one(a.length - 1 - count) === other(b.length - 1 - count)) count += 1;
  return count;
}

/** A text is not indexed: that makes a string of each character. */
function unitAt(units: Units): (at: number) => number | undefined {
  return typeof units === 'string' ? (at) => units.charCodeAt(at) : (at) => units[at];
}
