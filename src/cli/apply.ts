// northstate apply and plan: a whole document.
import type { Answers, Northstate } from '../client/northstate.ts';
import { findingText } from '../preflight/finding.ts';
import { say, withConsole, type ConsoleOptions } from './console.ts';
import { readInput, sayMade, sayOutcome } from './document.ts';
import { exitCodes, Failure } from './exit.ts';
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
  readonly dryRun?: boolean;
  readonly strict?: boolean;
  readonly force?: boolean;
  readonly prune?: boolean;
}

/** Makes a document the one in force; with `wait` ends when it is reached, has failed for good, or the time is over. */
export async function apply({ file, wait, timeout, expect, signature: given, ...rest }: ApplyOptions): Promise<void> {
  const { dryRun, strict, force, prune, ...options } = rest;
  const document = await readInput(file);
  const signature = (await signatureBeside(file, given)) ?? undefined;
  const asked = { document, expected: expect ?? null, signature };
  if (dryRun === true) {
    await withConsole(options, async (client) => {
      const { steps = [], findings = [] } = await client.call('apply', { ...asked, dry_run: true });
      if (options.json !== true) await printPlan({ steps, findings }, 'table');
      const own = findings.filter(({ known }) => !known);
      if (own.length > 0) throw new Failure(own.map(findingText).join('; '), { code: exitCodes.preflight });
    });
    return;
  }
  const until = performance.now() + timeout;
  const waiting = wait === true ? { patience: timeout, later: timeout, absent: exitCodes.timeout } : {};
  const act = async (client: Northstate): Promise<void> => {
    await sayFetch(options, client, document);
    const applied = await client.call('apply', { ...asked, strict, force, prune });
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
  /** What a revert of the document on trial would do. */
  readonly revert?: boolean;
  readonly output: Format;
}

/** Prints the ordered steps that a document would take; without a file, those that the one in force still takes. */
export async function plan({ file, revert, output, ...options }: PlanOptions): Promise<void> {
  const given = file === undefined ? null : await readInput(file);
  const planned = await withConsole(options, async (client) => {
    const document = revert === true ? await confirmedText(client) : given;
    return await client.call('plan', { document });
  });
  if (options.json !== true) await printPlan(planned, output);
}

/** The document that a revert would go to. Throws a Failure when nothing is on trial. */
async function confirmedText(client: Northstate): Promise<string> {
  const { trial } = await client.call('trial', null);
  const isOver = trial === null || trial.state === 'confirmed' || trial.state === 'reverted';
  if (isOver) throw new Failure('nothing is on trial', { hint: 'northstate history shows what is stored' });
  return await client.textOf(trial.confirmed);
}

/** The steps, and below them what a look ahead finds, as steps that cannot be taken. */
async function printPlan({ steps, findings }: Answers['plan'], output: Format): Promise<void> {
  const found = findings.map((finding) => ({
    ...{ op: 'finding', name: finding.entry, text: `${finding.fact}; ${finding.remedy}`, waits: null },
    ...finding,
  }));
  if (output !== 'table') {
    process.stdout.write(await render([...steps, ...found], output));
    return;
  }
  if (steps.length === 0) process.stdout.write('nothing to do\n');
  const rows = [...steps, ...found].map(({ op, name, text, waits, ...step }) => [
    op,
    printable(name),
    printable(text) +
      fetchText('fetch' in step ? step.fetch : undefined) +
      (waits === null ? '' : `, after ${printable(waits)}`),
  ]);
  if (rows.length > 0) process.stdout.write(await table(rows));
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
