// northstate confirm, revert, trial and quarantine: what becomes of a document on trial.
import type { TrialStatus } from '../../state/status.ts';
import { say, warnOfLoss, withConsole, type ConsoleOptions } from './console.ts';
import { printable, render, table, type Format } from './output.ts';

type Printed = ConsoleOptions & { readonly output: Format };

/** confirm: the document on trial stays. */
export async function confirm(generation: number | null, options: ConsoleOptions): Promise<void> {
  await withConsole(options, async (client) => {
    const made = await client.call('confirm', { generation });
    say(options, `generation ${made.generation} is confirmed`);
    warnOfLoss(made);
  });
}

/** revert: the document on trial goes back. */
export async function revert(generation: number | null, options: ConsoleOptions): Promise<void> {
  await withConsole(options, async (client) => {
    const made = await client.call('revert', { generation });
    say(options, `generation ${made.generation} is the confirmed one again`);
    warnOfLoss(made);
  });
}

/** trial: what is on trial. */
export async function trial({ output, ...options }: Printed): Promise<void> {
  await withConsole(options, async (client) => {
    const found = (await client.call('trial', null)).trial;
    if (options.json === true) return;
    if (output !== 'table') process.stdout.write(await render(found, output));
    else process.stdout.write(found === null ? 'nothing is on trial\n' : `${trialLines(found).join('\n')}\n`);
  });
}

/** A trial in sentences. */
export function trialLines({ state, generation, confirmed, ...trial }: TrialStatus): readonly string[] {
  const { since, boots, terms, until, waits, lacking, kept, cause, dropped } = trial;
  const heads = {
    staged: `generation ${generation} is staged since ${since}, and nothing has been touched yet`,
    active: `generation ${generation} is on trial since ${since}`,
    reverting: `generation ${generation} goes back to generation ${confirmed}`,
    confirmed: `generation ${generation} was confirmed`,
    reverted: `generation ${generation} was reverted to generation ${confirmed}`,
  } as const;
  const isOver = state === 'confirmed' || state === 'reverted';
  return [
    heads[state],
    ...(cause === null ? [] : [`  why: ${cause.reason}: ${printable(cause.message)} (${cause.time})`]),
    ...(boots === 0 || isOver
      ? []
      : [`  it was interrupted: ${boots === 1 ? 'one boot has' : `${boots} boots have`} begun with it`]),
    ...(waits === null || isOver ? [] : [`  it waits for: ${printable(waits)}`]),
    ...(state === 'active' || state === 'staged'
      ? [
          `  it would go back to: generation ${confirmed}${until === null ? '' : `, at ${until}`}, or after ${bootsText(terms.boots - boots + 1)}`,
          `  it is confirmed by: ${terms.confirm === 'manual' ? 'northstate confirm' : `health for ${terms.soak / 1000} s`}`,
        ]
      : []),
    ...(lacking.length === 0 || isOver
      ? []
      : [`  to go back, these are lacking: ${lacking.map(printable).join(', ')}`]),
    ...(kept.length === 0 ? [] : [`  persistent data is kept of: ${kept.map(printable).join(', ')}`]),
    ...dropped.map((each) => `  dropped: ${printable(each)}`),
  ];
}

function bootsText(count: number): string {
  return count === 1 ? 'one more boot' : `${count} more boots`;
}

/** quarantine: what is passed over. */
export async function quarantine({ output, ...options }: Printed): Promise<void> {
  await withConsole(options, async (client) => {
    const found = (await client.call('quarantine', null)).quarantine;
    if (options.json === true) return;
    if (output !== 'table') return void process.stdout.write(await render(found, output));
    const rows = found.map(({ kind, name, digest, time, reason, message }) =>
      [kind, name, digest.slice(0, 19), time, `${reason}: ${message}`].map(printable),
    );
    process.stdout.write(await table([['KIND', 'NAME', 'DIGEST', 'TIME', 'REASON'], ...rows]));
  });
}

/** quarantine release: what is tried again. */
export async function release(which: string | null, options: ConsoleOptions): Promise<void> {
  await withConsole(options, async (client) => {
    const { released } = await client.call('quarantine_release', { which });
    say(options, released.length === 0 ? 'nothing was released' : `released: ${released.map(printable).join(', ')}`);
  });
}
