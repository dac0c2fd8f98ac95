// northstate history: the stored generations of the document; one of them with its text, and how it differs from the one before.
import type { Northstate } from '../client/northstate.ts';
import { unifiedDiff } from './line-diff.ts';
import { withConsole, type ConsoleOptions } from './console.ts';
import { Failure } from './exit.ts';
import { printable, render, table, type Format } from './output.ts';

type HistoryOptions = ConsoleOptions & { readonly output: Format };

/** Prints the generations, newest first; the one in force has a star. Of one generation its text, and the difference. */
export async function history(generation: number | undefined, options: HistoryOptions): Promise<void> {
  await withConsole(options, async (client) => {
    if (generation !== undefined) await show(client, generation, options);
    else await list(client, options);
  });
}

async function list(client: Northstate, { output, json }: HistoryOptions): Promise<void> {
  const { generations } = await client.call('history', null);
  if (json === true) return;
  if (output !== 'table') {
    process.stdout.write(await render(generations, output));
    return;
  }
  const rows = generations.map(({ generation, time, kind, origin, runtime, inForce, forced, trial }) =>
    [
      ...[`${generation}${inForce ? ' *' : ''}`, time, kind],
      ...[origin + (forced ? ' (forced)' : ''), runtime, trial ?? ''],
    ].map(printable),
  );
  process.stdout.write(await table([['GENERATION', 'TIME', 'KIND', 'ORIGIN', 'RUNTIME', 'TRIAL'], ...rows]));
}

async function show(client: Northstate, generation: number, { output, json }: HistoryOptions): Promise<void> {
  const { generations } = await client.call('history', null);
  const index = generations.findIndex((each) => each.generation === generation);
  const found = generations[index];
  if (found === undefined) {
    const hint = 'northstate history shows those that are stored';
    throw new Failure(`generation ${generation} is not stored`, { hint });
  }
  const before = generations[index + 1] ?? null;
  const text = await client.textOf(generation);
  const difference =
    before === null
      ? null
      : unifiedDiff(await client.textOf(before.generation), text, {
          from: `generation ${before.generation}`,
          to: `generation ${generation}`,
        });
  if (json === true) return;
  if (output !== 'table') {
    process.stdout.write(await render({ ...found, text, difference }, output));
    return;
  }
  const shown = text.split('\n').map(printable).join('\n');
  const change =
    difference === null ? '' : `\n${difference === '' ? 'the text is that of the one before\n' : difference}`;
  process.stdout.write(`${shown}${shown.endsWith('\n') ? '' : '\n'}${change}`);
}
