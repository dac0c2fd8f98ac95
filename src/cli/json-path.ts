// What `-o jsonpath=TEMPLATE` prints: a part of kubectl's language that scripts use. Pure.
import { exitCodes, Failure } from './exit.ts';

/** One step from a value to its members: a name, an index (from the end when negative), or all of them. */
type Step = { readonly name: string } | { readonly index: number } | 'all';

/**
 * The template with each `{.path}` replaced by what is there: names (`.a`, `['a.b']`), indices (`[0]`, `[-1]`), `[*]` and `.*`, several
 * values parted by a blank; `{"\n"}` is a text. A template without braces is one path. Throws a Failure for what it does not
 * know.
 */
export function jsonPath(template: string, value: unknown): string {
  const text = /[{}]/.test(template) ? template : `{${template.startsWith('.') ? '' : '.'}${template}}`;
  const parts = text.split(/(\{[^{}]*\})/);
  return parts.map((part) => (part.startsWith('{') ? expression(part.slice(1, -1).trim(), value) : part)).join('');
}

function expression(text: string, value: unknown): string {
  const quoted = /^"(?:[^"\\]|\\.)*"$/.test(text);
  if (quoted) return JSON.parse(text) as string;
  return stepsOf(text)
    .reduce<readonly unknown[]>((values, step) => values.flatMap((each) => members(each, step)), [value])
    .map(shown)
    .join(' ');
}

function stepsOf(path: string): Step[] {
  const steps: Step[] = [];
  let rest = path.replace(/^\$/, '');
  while (rest !== '' && rest !== '.') {
    const found = /^(?:\.?\[(?:(-?\d+)|(\*)|'([^']*)'|"([^"]*)")\]|\.(?:(\*)|([^.[\]{}'"]+)))/.exec(rest);
    if (found === null) {
      const message = `jsonpath: "${rest.slice(0, 60)}" is not understood`;
      throw new Failure(message, {
        code: exitCodes.usage,
        hint: "write {.containers.broker.pid} or {.containers['a:1.0.0']}",
      });
    }
    const [all, index, everyItem, single, double, everyMember, name] = found;
    if (index !== undefined) steps.push({ index: Number(index) });
    else if (everyItem !== undefined || everyMember !== undefined) steps.push('all');
    else steps.push({ name: single ?? double ?? name ?? '' });
    rest = rest.slice(all.length);
  }
  return steps;
}

function members(value: unknown, step: Step): readonly unknown[] {
  if (typeof value !== 'object' || value === null) return [];
  if (step === 'all') return Object.values(value);
  if ('index' in step) return Array.isArray(value) && value.at(step.index) !== undefined ? [value.at(step.index)] : [];
  return Object.hasOwn(value, step.name) ? [(value as Readonly<Record<string, unknown>>)[step.name]] : [];
}

function shown(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
