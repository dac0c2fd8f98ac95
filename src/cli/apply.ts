// northstate apply and plan: a whole document.
import type { Northstate } from '../client/northstate.ts';
import { say, withConsole, type ConsoleOptions } from './console.ts';
import { readInput, sayMade, sayOutcome } from './document.ts';
import { exitCodes } from './exit.ts';
import { printable, render, table, type Format } from './output.ts';
import { signatureBeside } from './signature-file.ts';
import { heldText } from './overlay-command.ts';

export interface ApplyOptions extends ConsoleOptions {
  readonly file: string;
  readonly wait?: boolean;
  /** ms */
  readonly timeout: number;
  readonly expect?: number;
  readonly signature?: string;
}

/** Makes a document the one in force; with `wait` ends when it is reached, has failed for good, or the time is over. */
export async function apply({
  file,
  wait,
  timeout,
  expect,
  signature: given,
  ...options
}: ApplyOptions): Promise<void> {
  const document = await readInput(file);
  const signature = (await signatureBeside(file, given)) ?? undefined;
  const until = performance.now() + timeout;
  const waiting = wait === true ? { patience: timeout, later: timeout, absent: exitCodes.timeout } : {};
  const act = async (client: Northstate): Promise<void> => {
    await sayFetch(options, client, document);
    const applied = await client.call('apply', { document, expected: expect ?? null, signature });
    const { generation, overlay = [], document: written } = applied;
    sayMade(options, applied);
    if (written?.status === 'notWritable') say(options, printable(written.error?.message ?? 'the file is not written'));
    const held = heldText(overlay);
    if (held !== null) say(options, held);
    if (wait !== true) return;
    const left = Math.max(0, Math.round(until - performance.now()));
    sayOutcome(options, `generation ${generation}`, await client.outcome({ generation, timeout: left }), timeout);
  };
  await withConsole(options, act, waiting);
}

export interface PlanOptions extends ConsoleOptions {
  readonly file?: string;
  readonly output: Format;
}

/** Prints the ordered steps that a document would take; without a file, those that the one in force still takes. */
export async function plan({ file, output, ...options }: PlanOptions): Promise<void> {
  const document = file === undefined ? null : await readInput(file);
  const { steps } = await withConsole(options, (client) => client.call('plan', { document }));
  if (options.json === true) return;
  if (output !== 'table') process.stdout.write(await render(steps, output));
  else if (steps.length === 0) process.stdout.write('nothing to do\n');
  else {
    const rows = steps.map((step) => [
      step.op,
      printable(step.name),
      printable(step.text) + fetchText(step.fetch) + (step.waits === null ? '' : `, after ${printable(step.waits)}`),
    ]);
    process.stdout.write(await table(rows));
  }
}

/** Says how much a document with sources on servers fetches; asking the servers takes a moment. */
async function sayFetch(options: ConsoleOptions, client: Northstate, document: string): Promise<void> {
  if (!/https?:\/\//.test(document)) return;
  const { steps } = await client.call('plan', { document });
  const bytes = steps.reduce((sum, { fetch = 0 }) => sum + fetch, 0);
  if (bytes > 0) say(options, `${bytes} bytes to fetch`);
}

function fetchText(bytes: number | undefined): string {
  return bytes === undefined ? '' : ` (${bytes} bytes to fetch)`;
}
