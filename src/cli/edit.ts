// northstate edit: the document in force in an editor. What is saved is checked before anything happens; an error stands above the
// text when the editor opens again.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConsoleError, type Northstate } from '../client/northstate.ts';
import { say, withConsole, type ConsoleOptions } from './console.ts';
import { documentInForce } from './document.ts';
import { Failure } from './exit.ts';

/** Begins every line that is ours: they go before the text is applied. */
const ours = '#! ';

/** Opens $VISUAL or $EDITOR until what it leaves is a document, then applies that, unless another one is in force meanwhile. */
export async function edit(options: ConsoleOptions): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'northstate-edit-'));
  const file = join(directory, 'desired.yaml');
  /** What is removed in the end, however that comes. */
  const scratch = new Set([directory]);
  try {
    await withConsole(options, async (client) => {
      const { document, generation } = await documentInForce(client);
      let text = document;
      let error: string | null = null;
      do {
        const given = error === null ? text : `${ours}${error.replaceAll('\n', `\n${ours}`)}\n${text}`;
        await writeFile(file, given, { mode: 0o600 });
        await openEditor(file);
        const saved = withoutOurs(await readFile(file, 'utf8'));
        if (saved === document) {
          say(options, 'nothing was changed');
          return;
        }
        if (error !== null && saved === text)
          throw new Failure(error, { hint: 'it was saved as it was; nothing was changed' });
        text = saved;
        error = await problemOf(client, text);
        if (error === null) {
          // Somebody else's edit may have come between: what was written here is not to be lost.
          const made = await client.call('apply', { document: text, expected: generation }).catch((cause: unknown) => {
            scratch.clear();
            throw new Failure(`${(cause as Error).message}; your text is kept in ${file}`);
          });
          say(options, `generation ${made.generation}`);
        }
      } while (error !== null);
    });
  } finally {
    for (const each of scratch) await rm(each, { recursive: true });
  }
}

/** Why a text is no document, with its place and an excerpt; null when it is one. */
async function problemOf(client: Northstate, document: string): Promise<string | null> {
  try {
    await client.call('apply', { document, expected: null, dry_run: true });
    return null;
  } catch (error) {
    if (!(error instanceof ConsoleError) || error.reason !== 'invalid_document') throw error;
    const { line, column, excerpt } = error.detail;
    const place =
      typeof line === 'number' && typeof column === 'number' && line > 0 ? `line ${line}, column ${column}: ` : '';
    return `${place}${error.message}${typeof excerpt === 'string' && excerpt !== '' ? `\n${excerpt}` : ''}`;
  }
}

function withoutOurs(text: string): string {
  return text
    .split('\n')
    .filter((line) => !line.startsWith(ours.trimEnd()))
    .join('\n');
}

/** $VISUAL, else $EDITOR (environ(7)): a program, and words for it parted by blanks. */
async function openEditor(file: string): Promise<void> {
  const given = [process.env['VISUAL'], process.env['EDITOR'], 'vi'].find((each) => (each ?? '').trim() !== '');
  const editor = given ?? 'vi';
  const [program = editor, ...words] = editor.trim().split(/\s+/);
  const child = spawn(program, [...words, file], { stdio: 'inherit' });
  const [code, signal] = await ended(child, program);
  if (code !== 0) {
    const how = code === null ? `signal ${String(signal)}` : `exit code ${code}`;
    throw new Failure(`the editor ${editor} ended with ${how}`, { hint: 'EDITOR names another; nothing was changed' });
  }
}

async function ended(child: ChildProcess, program: string): Promise<[number | null, NodeJS.Signals | null]> {
  try {
    return (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new Failure(`the editor ${program} cannot be run: ${code ?? String(error)}`, {
      hint: 'EDITOR names another',
    });
  }
}
