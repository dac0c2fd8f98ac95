// northstate history: the stored generations of the document.
import { withConsole, type ConsoleOptions } from './console.ts';
import { printable, render, table, type Format } from './output.ts';

/** Prints the generations, newest first; the one in force has a star. */
export async function history({ output, ...options }: ConsoleOptions & { readonly output: Format }): Promise<void> {
  const { generations } = await withConsole(options, (client) => client.call('history', null));
  if (options.json === true) return;
  if (output !== 'table') {
    process.stdout.write(await render(generations, output));
    return;
  }
  const rows = generations.map(({ generation, time, kind, origin, runtime, inForce }) =>
    [`${generation}${inForce ? ' *' : ''}`, time, kind, origin, runtime].map(printable),
  );
  process.stdout.write(await table([['GENERATION', 'TIME', 'KIND', 'ORIGIN', 'RUNTIME'], ...rows]));
}
