// northstate overlay: what commands have set over the document until the boot ends.
import type { FieldOrigin } from '../../state/status.ts';
import { say, warnOfLoss, withConsole, type ConsoleOptions } from './console.ts';
import { printable, render, table, type Format } from './output.ts';

/** `1 command of a console holds until the boot ends: stop idle`; null when none does. */
export function heldText(overlay: readonly FieldOrigin[]): string | null {
  const commands = [...new Set(overlay.map(({ command }) => printable(command)))];
  if (commands.length === 0) return null;
  const subject =
    commands.length === 1 ? '1 command of a console holds' : `${commands.length} commands of a console hold`;
  return `${subject} until the boot ends: ${commands.join(', ')}`;
}

/** Prints each field that is set over the document, with what set it. */
export async function overlay({ output, ...options }: ConsoleOptions & { readonly output: Format }): Promise<void> {
  const { status } = await withConsole(options, (client) => client.call('get', null));
  if (options.json === true) return;
  if (output !== 'table') process.stdout.write(await render(status.overlay, output));
  else if (status.overlay.length === 0) process.stdout.write('no command holds over the document\n');
  else {
    const rows = status.overlay.map(({ command, pointer, generation, origin }) =>
      [command, pointer, String(generation), origin].map(printable),
    );
    process.stdout.write(await table([['COMMAND', 'FIELD', 'GENERATION', 'ORIGIN'], ...rows]));
  }
}

/** Takes it away: of one container, or altogether. */
export async function dropOverlay(name: string | undefined, options: ConsoleOptions): Promise<void> {
  await withConsole(options, async (client) => {
    const { generation, dropped, ...lasting } = await client.call('overlay_drop', { name: name ?? null });
    const commands = [...new Set(dropped.map(({ command }) => printable(command)))];
    if (commands.length === 0) say(options, 'no command holds over the document');
    else say(options, `generation ${generation}, without: ${commands.join(', ')}`);
    warnOfLoss(lasting);
  });
}
