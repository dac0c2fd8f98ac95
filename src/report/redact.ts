// What must not leave the device in a report for support: values of variables, keys, tokens and passwords.

const hidden = '(redacted)';

/** Members whose values are variables of an environment. */
const environments = new Set(['env', 'environment']);

/** Members that hold a secret by their name, unless it is the path of a file. */
const secretName = /^(?:secret|token|password|passwd|passphrase|shared|private_?key|api_?key)/i;

/** `--password=x`, `TOKEN: x` and the like in any text. */
const secretText =
  /((?:password|passwd|passphrase|secret|token|api[-_]?key|private[-_]?key)[\w-]*["']?\s*[=:]\s*["']?)[^\s"']+/gi;

const pem = /-----BEGIN ([A-Z ]*PRIVATE KEY)-----[\s\S]*?(?:-----END \1-----|$)/g;

/** Values shorter than this stand in any text by chance. */
const shortest = 8;

/** Takes secrets out of JSON values and texts; what it takes out of one it also takes out of those after it. */
export interface Redactor {
  /** A copy of a JSON value without secrets. */
  value(value: unknown): unknown;
  /** A text without secrets, and without the values of the variables that were seen. */
  text(text: string): string;
}

/** Makes a redactor that has seen nothing yet. */
export function createRedactor(): Redactor {
  const seen = new Set<string>();

  function value(given: unknown): unknown {
    if (typeof given === 'string') return plain(given);
    if (typeof given !== 'object' || given === null) return given;
    if (Array.isArray(given)) return given.map(value);
    return Object.fromEntries(Object.entries(given).map(([name, member]) => [name, memberValue(name, member)]));
  }

  function memberValue(name: string, member: unknown): unknown {
    if (environments.has(name) && typeof member === 'object' && member !== null) {
      return Object.fromEntries(Object.entries(member).map(([variable, text]) => [variable, hide(text)]));
    }
    const isPath = typeof member === 'string' && member.startsWith('/');
    return secretName.test(name) && typeof member === 'string' && !isPath ? hide(member) : value(member);
  }

  function hide(secret: unknown): unknown {
    if (typeof secret === 'string' && secret.length >= shortest) seen.add(secret);
    return secret === null ? null : hidden;
  }

  function plain(text: string): string {
    return text.replaceAll(pem, hidden).replaceAll(secretText, `$1${hidden}`);
  }

  return {
    value,
    text: (given) => [...seen].reduce((text, secret) => text.replaceAll(secret, hidden), plain(given)),
  };
}
