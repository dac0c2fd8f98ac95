// JSON as Northstar reads it: a member that is given twice is an error, where JSON.parse takes the last one.

/** A message that is no JSON or not of the shape that the protocol gives it. It ends the connection without an answer. */
export class Malformed extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'Malformed';
  }
}

/** Messages nest three objects deep above free maps (an environment), in which the last of two equal names counts. */
const strictDepth = 3;

/** As deep as Northstar reads (serde_json): what walks through a message may call itself for each level. */
const deepest = 128;

/** Parses one message; Malformed when it is no JSON (RFC 8259), nests too deep or names a member of it twice. */
export function parseMessage(line: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw new Malformed(`not JSON: ${(error as Error).message}`);
  }
  const twice = duplicate(line);
  if (twice !== null) throw new Malformed(`member ${twice} is given twice`);
  return value;
}

/** The first member name (as written) that stands twice in one object, null when there is none. Malformed when `text`, valid JSON, nests too deep. */
function duplicate(text: string): string | null {
  const names: (Set<string> | null)[] = [];
  let begin = 0;
  let end = 0;
  // Character by character: a message of a megabyte must not keep the others waiting.
  for (let at = 0; at < text.length; at += 1) {
    if (names.length > deepest) throw new Malformed(`nested deeper than ${deepest}`);
    switch (text.charCodeAt(at)) {
      case QUOTE:
        begin = at;
        at = end = endOfString(text, at);
        break;
      case BRACE:
        names.push(names.length < strictDepth ? new Set() : null);
        break;
      case BRACKET:
        names.push(null);
        break;
      case BRACE + 2:
      case BRACKET + 2:
        names.pop();
        break;
      case COLON: {
        const known = names.at(-1);
        if (known === null || known === undefined) break;
        const written = text.slice(begin, end + 1);
        const name = JSON.parse(written) as string;
        if (known.has(name)) return written;
        known.add(name);
      }
    }
  }
  return null;
}

const QUOTE = 0x22;
const COLON = 0x3a;
const BRACKET = 0x5b;
const BRACE = 0x7b;
const BACKSLASH = 0x5c;

/** Where the string ends whose opening quote is at `at`: a quote with an even number of backslashes before it. */
function endOfString(text: string, at: number): number {
  for (let end = text.indexOf('"', at + 1); ; end = text.indexOf('"', end + 1)) {
    let backslashes = 0;
    while (text.charCodeAt(end - 1 - backslashes) === BACKSLASH) backslashes += 1;
    if (backslashes % 2 === 0) return end;
  }
}
