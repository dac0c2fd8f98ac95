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

/** Parses one message; Malformed when it is no JSON (RFC 8259) or names a member of it twice. */
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

const tokens = /"(?:[^"\\]|\\.)*"|[{}[\],:]/gs;

/** The first member name (as written) that stands twice in one object, null when there is none. `text` is valid JSON. */
function duplicate(text: string): string | null {
  const names: (Set<string> | null)[] = [];
  let string = '';
  for (const [token] of text.matchAll(tokens)) {
    if (token === '{') names.push(names.length < strictDepth ? new Set() : null);
    else if (token === '[') names.push(null);
    else if (token === '}' || token === ']') names.pop();
    else if (token === ':') {
      const known = names.at(-1);
      const name = JSON.parse(string) as string;
      if (known?.has(name)) return string;
      known?.add(name);
    } else if (token.startsWith('"')) string = token;
  }
  return null;
}
