// northstate describe: everything that explains one container.
import { styleText } from 'node:util';
import type { Description } from '../console/protocol/answers.ts';
import { withConsole, type ConsoleOptions } from './console.ts';
import { printable, render, table, type Format } from './output.ts';
import { exitText } from '../../state/signals.ts';

/** Prints the status, conditions, last exit, entry and the steps that containers wait for. */
export async function describe(
  names: readonly string[],
  { output, ...options }: ConsoleOptions & { readonly output: Format },
): Promise<void> {
  await withConsole(options, async (client) => {
    for (const [index, name] of names.entries()) {
      const description = await client.call('describe', { name });
      if (options.json === true) continue;
      if (output === 'json') process.stdout.write(await render(description, output));
      else if (output === 'yaml')
        process.stdout.write(`${index === 0 ? '' : '---\n'}${await render(description, output)}`);
      else process.stdout.write(`${index === 0 ? '' : '\n'}${await forPeople(description)}`);
    }
  });
}

async function forPeople({
  name,
  status,
  entry,
  overlay,
  files,
  lock,
  package: file,
  steps,
}: Description): Promise<string> {
  const sections = [
    await table(facts(name, status, lock, file).map(([title, value]) => [styleText('bold', title), printable(value)])),
  ];
  if (status !== null && status.conditions.length > 0) {
    const rows = status.conditions.map((each) =>
      [each.type, each.status, each.reason, `generation ${each.generation}`, each.lastTransition, each.message].map(
        printable,
      ),
    );
    sections.push(`${styleText('bold', 'CONDITIONS')}\n${await table(rows)}`);
  }
  const todo = steps.map((step) =>
    [step.op, step.text, step.waits === null ? '' : `waits: ${step.waits}`].map(printable),
  );
  if (status !== null && status.nextRestart !== null) todo.push(['restart', `at ${status.nextRestart}`, '']);
  sections.push(`${styleText('bold', 'STILL TO DO')}\n${todo.length === 0 ? 'nothing\n' : await table(todo)}`);
  sections.push(
    `${styleText('bold', 'ENTRY')}\n${entry === null ? 'none: it is not in the document\n' : await said(entry)}`,
  );
  if (files.length > 0) {
    const rows = files.map(({ path, message }) => [path, message].map(printable));
    sections.push(`${styleText('bold', 'FILES THAT ARE NOT USED')}\n${await table(rows)}`);
  }
  if (overlay.length > 0) {
    const rows = overlay.map((each) =>
      [each.command, each.pointer, `generation ${each.generation}`, each.origin].map(printable),
    );
    sections.push(`${styleText('bold', 'UNTIL THE BOOT ENDS')}\n${await table(rows)}`);
  }
  return sections.join('\n');
}

function facts(
  name: string,
  status: Description['status'],
  lock: Description['lock'],
  file: Description['package'],
): [string, string][] {
  const rows: [string, string][] = [['NAME', name]];
  if (status !== null) {
    rows.push(['VERSION', status.version ?? 'none'], ['REPOSITORY', status.repository ?? 'none']);
    rows.push(['DESIRED', status.desired], ['PHASE', `${status.phase} since ${status.since}`]);
    rows.push(['PID', String(status.pid ?? 'none')], ['RESTARTS', String(status.restarts)]);
    if (status.nextRestart !== null) rows.push(['NEXT RESTART', status.nextRestart]);
    const { schedule } = status;
    if (schedule !== null) {
      const never = schedule.waitsForClock ? 'not known until the clock has been set' : 'none';
      rows.push(['NEXT RUN', schedule.due ? 'due' : (schedule.next ?? never)]);
      const { last } = schedule;
      const ended = last === null || last.exit === null ? '' : `, ended with ${exitText(last.exit)}`;
      rows.push(['LAST RUN', last === null ? 'none' : `${last.at ?? 'at an unknown time'}${ended}`]);
    }
    rows.push(['LAST EXIT', status.lastExit === null ? 'none' : exitText(status.lastExit)]);
  }
  if (file !== null) rows.push(['PACKAGE', file.path]);
  if (lock !== null) rows.push(['RESOLVED', lock.version], ['DIGEST', lock.digest ?? 'unknown']);
  return rows;
}

const internal = ['key', 'name', 'generation', 'writtenBy', 'changedBy', 'uninstalling'];

/** What an entry says, without the fields that it leaves to the manifest. */
async function said(entry: Readonly<Record<string, unknown>>): Promise<string> {
  const fields = Object.entries(entry).filter(([field, value]) => {
    const isEmpty = value === null || (typeof value === 'object' && Object.keys(value).length === 0);
    return !isEmpty && !internal.includes(field);
  });
  return await render(Object.fromEntries(fields), 'yaml');
}
