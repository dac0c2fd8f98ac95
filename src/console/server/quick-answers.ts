// Requests that change nothing and say what is there: their answers are kept as text for as long as they stay the same.
import type { State } from '../../../state/store.ts';
import { parseMessage } from '../protocol/json.ts';
import { readRequest, type Request } from '../protocol/protocol.ts';
import { listContainers, listRepositories } from './queries.ts';

/** Lines whose meaning is remembered, and the length of the longest. */
const most = 16;
const longest = 256;

/** By the map of the state that an answer is about: another one has another answer. */
const texts = new WeakMap<object, string>();

export type Quick = Extract<Request, { name: 'list' | 'repositories' | 'ident' }>;

export function isQuick(request: Request): request is Quick {
  return request.name === 'list' || request.name === 'repositories' || request.name === 'ident';
}

/** The answer, a line. */
export function quickAnswer({ name }: Quick, { observed }: State, identity: string): string {
  if (name === 'list') return kept(observed.packages, () => ({ list: listContainers({ observed }) }));
  if (name === 'ident') return line({ ident: identity });
  return kept(observed.repositories, () => ({ repositories: listRepositories({ observed }) }));
}

function kept(about: object, make: () => unknown): string {
  const known = texts.get(about);
  if (known !== undefined) return known;
  const text = line(make());
  texts.set(about, text);
  return text;
}

function line(response: unknown): string {
  return `${JSON.stringify({ response })}\n`;
}

/** Gives what the lines of one client mean, of short ones without reading them again. It throws Malformed. */
export function createRequestReader(): (line: string) => Request {
  const known = new Map<string, Request>();
  return (text) => {
    const before = known.get(text);
    if (before !== undefined) return before;
    const request = readRequest(parseMessage(text));
    if (text.length > longest) return request;
    if (known.size >= most) known.clear();
    known.set(text, request);
    return request;
  };
}
