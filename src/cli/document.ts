// northstate patch, rollback, explain and wait: what is done with the document, and what keeps it from being reached.
import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { styleText } from 'node:util';
import type { Operation } from 'fast-json-patch';
import type { Answers, Northstate, Unmet } from '../client/northstate.ts';
import type { Made } from '../console/protocol/answers.ts';
import { unifiedDiff } from './line-diff.ts';
import { lifetimeOf, say, warnOfLoss, withConsole, type ConsoleOptions, type PatchOptions } from './console.ts';
import { exitCodes, Failure } from './exit.ts';
import { printable, render, type Format } from './output.ts';
import { timesOf } from './status-table.ts';
import { heldText } from './overlay-command.ts';

export interface PatchCommand extends PatchOptions {
  readonly file?: string;
  readonly expect?: number;
}

/** patch [PATCH]: a list is RFC 6902, an object a merge patch (RFC 7386); JSON or YAML, given or in a file. */
export async function patch(given: string | undefined, { file, expect, ...options }: PatchCommand): Promise<void> {
  const lifetime = lifetimeOf(options);
  if ((given === undefined) === (file === undefined)) {
    throw new Failure('expected one patch: northstate patch PATCH, or -f FILE', { code: exitCodes.usage });
  }
  const wanted = await parse(given ?? (await readInput(file ?? '-')));
  const expected = expect ?? null;
  await withConsole(options, async (client) => {
    const asked = Array.isArray(wanted) ? { operations: wanted as readonly Operation[] } : { merge: wanted };
    sayMade(options, await client.call('patch', { ...asked, expected, ...lifetime }));
  });
}

async function parse(patch: string): Promise<object> {
  const { default: yaml } = await import('yaml');
  let value: unknown;
  try {
    value = yaml.parse(patch);
  } catch (error) {
    throw new Failure(`the patch is neither JSON nor YAML: ${(error as Error).message}`, { code: exitCodes.usage });
  }
  if (typeof value === 'object' && value !== null) return value;
  throw new Failure('a patch is a list of operations, or an object', { code: exitCodes.usage });
}

/** The contents of a file, - is standard input. */
export async function readInput(file: string): Promise<string> {
  if (file === '-') return await text(process.stdin);
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const hint = 'name a readable file, or - for standard input';
    throw new Failure(`read ${file}: ${code ?? String(error)}`, { hint });
  }
}

/** The text of the document in force, and its generation. */
export async function documentInForce(client: Northstate): Promise<{ document: string; generation: number }> {
  const { document, generation } = await client.desired();
  return { document: document ?? '', generation };
}

/** diff -f FILE: how a document differs from the one in force. Exit code 1 when it does, as diff(1) has it. */
export async function diff({ file, ...options }: ConsoleOptions & { readonly file: string }): Promise<void> {
  const text = await readInput(file);
  await withConsole(options, async (client) => {
    const { document, generation } = await documentInForce(client);
    const found = unifiedDiff(document, text, { from: `generation ${generation}`, to: file });
    if (options.json !== true) process.stdout.write(found);
    if (found !== '') process.exitCode = exitCodes.error;
  });
}

/** The generation that was made, and whether it lasts. */
export function sayMade(options: ConsoleOptions, made: Made): void {
  say(options, `generation ${made.generation}`);
  warnOfLoss(made);
}

/** rollback [GENERATION]: its text and versions again, as a new generation; left out: the one stored before that in force. */
export async function rollback(
  given: number | undefined,
  { expect, ...options }: ConsoleOptions & { readonly expect?: number },
): Promise<void> {
  await withConsole(options, async (client) => {
    const generation = given ?? (await generationBefore(client));
    sayMade(options, await client.call('rollback', { generation, expected: expect ?? null }));
  });
}

/** The stored generation before the one in force. Throws a Failure when there is none. */
async function generationBefore(client: Northstate): Promise<number> {
  const { generations } = await client.call('history', null);
  const present = generations.find(({ inForce }) => inForce)?.generation ?? Infinity;
  const earlier = generations.map(({ generation }) => generation).filter((generation) => generation < present);
  if (earlier.length > 0) return Math.max(...earlier);
  throw new Failure('there is no generation before the one in force', {
    hint: 'northstate history shows those that are stored',
  });
}

/** explain NAME...: the chain of what keeps a container from being as the document wants it. */
export async function explain(
  names: readonly string[],
  { output, ...options }: ConsoleOptions & { readonly output: Format },
): Promise<void> {
  await withConsole(options, async (client) => {
    for (const name of names) await showUnmet(await client.call('explain', { name }), output, options);
  });
}

async function showUnmet(
  found: Answers['explain'],
  output: Format,
  { json }: Pick<ConsoleOptions, 'json'>,
): Promise<void> {
  if (json === true) return;
  if (output !== 'table') process.stdout.write(await render(found, output));
  else {
    const held = heldText(found.overlay);
    const isReached = `${printable(found.name)} is as ${held === null ? 'the document wants it' : 'commands want it'}\n`;
    process.stdout.write(found.unmet === null ? isReached : chain(found.unmet, 0));
    if (found.schedule !== null) process.stdout.write(`${printable(timesOf(found.schedule))}\n`);
    if (held !== null) process.stdout.write(`${held}\n`);
    if (found.staged !== null)
      process.stdout.write(
        `generation ${found.staged.generation} is staged: ${printable(found.staged.waits ?? 'it is about to come into force')}\n`,
      );
    for (const { path, message } of found.files) process.stdout.write(`${printable(path)}: ${printable(message)}\n`);
  }
}

function chain({ container, unmet, reason, message, because }: Unmet, depth: number): string {
  const lead = depth === 0 ? '' : `${'  '.repeat(depth - 1)}<- `;
  const why = styleText('dim', message === '' ? reason : `${reason}: ${printable(message)}`);
  const line = `${lead}${printable(container)} is not ${styleText('bold', unmet)} (${why})\n`;
  return line + because.map((link) => chain(link, depth + 1)).join('');
}

/**
 * wait: until the generation in force is reached, or confirmed (0), has failed for good (3), or the time is over (4). Waits for the
 * daemon, too.
 */
export async function wait({
  timeout,
  generation,
  for: what = 'reached',
  ...options
}: ConsoleOptions & {
  readonly timeout: number;
  readonly generation?: number;
  readonly for?: 'reached' | 'confirmed';
}): Promise<void> {
  const until = performance.now() + timeout;
  await withConsole(
    options,
    async (client) => {
      const left = Math.max(0, Math.round(until - performance.now()));
      const asked = { timeout: left, ...(what === 'confirmed' && { for: what }) };
      const outcome = await client.outcome({ ...asked, ...(generation !== undefined && { generation }) });
      sayOutcome(options, 'the document', outcome, timeout);
    },
    { patience: timeout, later: timeout, absent: exitCodes.timeout },
  );
}

/** What a wait of `timeout` ms for `what` has come to. Throws a Failure with the reason when it was not reached. */
export function sayOutcome(
  options: ConsoleOptions,
  what: string,
  { result, reason }: Answers['wait'],
  timeout: number,
): void {
  if (result === 'converged') return say(options, 'converged');
  const because = reason === null ? '' : `: ${printable(reason)}`;
  const hint = 'northstate explain NAME says why';
  if (result === 'failed') throw new Failure(`${what} failed for good${because}`, { code: exitCodes.failed, hint });
  throw new Failure(`${what} is not reached after ${timeout / 1000} s${because}`, { code: exitCodes.timeout, hint });
}

/** What is measured, as text. */
export async function metrics({
  output,
  ...options
}: ConsoleOptions & { readonly output: 'openmetrics' | 'prometheus' }): Promise<void> {
  await withConsole(options, async (client) => {
    const text = (await client.call('metrics', null))[output];
    if (options.json !== true) process.stdout.write(text);
  });
}
