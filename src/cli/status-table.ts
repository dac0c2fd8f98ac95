// The status as a table, and a change of it as a line.
import { styleText } from 'node:util';
import { exitCell } from '../../state/signals.ts';
import type { ContainerStatus, Phase, RuntimeCondition, ScheduleStatus, Status } from '../../state/status.ts';
import { printable, table } from './output.ts';
import { heldText } from './overlay-command.ts';
import { trialLines } from './trial.ts';

type Style = Parameters<typeof styleText>[0];

const styles: Readonly<Record<Phase, Style>> = {
  Absent: 'dim',
  Installed: 'dim',
  Mounted: 'dim',
  Starting: 'yellow',
  Running: 'green',
  Stopping: 'yellow',
  Backoff: 'red',
  Exited: 'dim',
  Scheduled: 'dim',
  Failed: ['red', 'bold'],
};

/** The whole status: what the document is, then one row for each container. `wide` says more of each. */
export async function statusTable(status: Status, { wide = false }: { readonly wide?: boolean } = {}): Promise<string> {
  const rows = Object.entries(status.containers)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, container]) => {
      const row = containerRow(name, container);
      return wide ? row.toSpliced(-1, 0, ...moreOf(container)) : row;
    });
  const more = wide ? ['REPOSITORY', 'MOUNTED', 'NEXT RESTART'] : [];
  const header = ['NAME', 'VERSION', 'DESIRED', 'PHASE', 'PID', 'RESTARTS', 'LAST EXIT', 'SINCE', ...more, 'WHY'];
  const lines = [summary(status), ...status.conditions.map(conditionLine), ...problemLines(status)];
  return `${lines.join('\n')}\n${await table([header.map((title) => styleText('bold', title)), ...rows])}`;
}

/** What is wrong with repositories and files in them, a line each. */
function problemLines({ repositories }: Status): string[] {
  return Object.entries(repositories).flatMap(([id, { problems }]) =>
    problems.map((problem) => `repository ${printable(id)}: ${printable(problem)}`),
  );
}

/** One line about the document, whether it is reached, and when the reconciler slept; and one about what commands hold over it. */
export function summary(status: Status): string {
  const { document, generation, observedGeneration, converged, overlay } = status;
  const reached =
    converged && observedGeneration === generation ? styleText('green', 'converged') : styleText('yellow', 'in work');
  const parts = [`generation ${generation}`, reached];
  if (document.status !== 'ok') parts.push(styleText('red', `document ${document.status}`));
  if (document.error !== null) {
    const { line, column, message } = document.error;
    parts.push(line === 0 ? printable(message) : `line ${line}, column ${column}: ${printable(message)}`);
  }
  const { last, today } = status.sleep;
  if (last !== null) {
    const [since, until] = [last.since, last.until].map((time) => time.replace(/\.\d+Z$/, 'Z'));
    parts.push(styleText('dim', `slept from ${since} until ${until} (${last.reason}), woken ${today} times today`));
  }
  const { trial } = status;
  const isTried = trial !== null && trial.state !== 'confirmed' && trial.state !== 'reverted';
  const tried = isTried ? trialLines(trial) : [];
  const held = heldText(overlay);
  return [parts.join(', '), ...tried, ...(held === null ? [] : [held])].join('\n');
}

/** What keeps the runtime itself from doing all that it should. */
export function conditionLine({ type, subject, message }: RuntimeCondition): string {
  return styleText('yellow', `${type} ${printable(subject)}: ${printable(message)}`);
}

/** A container's change as a line for a log: time, name and what it is now. */
export function changeLine(name: string, container: ContainerStatus | undefined): string {
  if (container === undefined) return `${printable(name)} gone`;
  const [, ...cells] = containerRow(name, container);
  return [printable(name), ...cells.filter((cell) => cell !== '-' && cell !== '')].join(' ');
}

function moreOf({ repository, mounted, nextRestart }: ContainerStatus): string[] {
  return [repository ?? '-', mounted ? 'yes' : 'no', nextRestart ?? '-'].map(printable);
}

function containerRow(name: string, container: ContainerStatus): string[] {
  return [
    printable(name),
    container.version ?? '-',
    container.desired,
    container.paused ? styleText('yellow', 'Paused') : styleText(styles[container.phase], container.phase),
    container.pid === null ? '-' : String(container.pid),
    String(container.restarts),
    exitCell(container.lastExit),
    container.since.replace(/\.\d+Z$/, 'Z'),
    printable(reasonOf(container)),
  ];
}

/** Why a container is not what it should be: the first condition that says so. */
function reasonOf(container: ContainerStatus): string {
  if (container.phase === 'Scheduled' && container.schedule !== null) return timesOf(container.schedule);
  const trouble = container.conditions.find(({ type, status }) => {
    const isGood =
      status === (['UpdateAvailable', 'PackageMissing', 'IntegrityLost', 'Degraded'].includes(type) ? 'False' : 'True');
    return !isGood && status !== 'Unknown';
  });
  const isAsked = trouble?.type === 'Ready' && container.desired !== 'running';
  return trouble === undefined || isAsked || isOnTheWay(trouble.type, container)
    ? ''
    : [trouble.reason, trouble.message].filter((part) => part !== '').join(': ');
}

/** When it starts next, and how it ended the last time. */
export function timesOf({ next, waitsForClock, due, last }: ScheduleStatus): string {
  const never = waitsForClock ? 'waits until the clock has been set' : 'never again';
  const when = due ? 'due' : next === null ? never : `next ${next.replace(/\.\d+Z$/, 'Z')}`;
  const exit = last === null || last.exit === null ? '' : `, the last ${exitCell(last.exit)}`;
  const at = last === null || last.at === null ? '' : ` at ${last.at.replace(/\.\d+Z$/, 'Z')}`;
  const ended = exit === '' && at !== '' ? ', the last' : exit;
  return `${when}${ended}${at}`;
}

/** A container that shall only be installed is not mounted, and that is no trouble. */
function isOnTheWay(type: string, { desired }: ContainerStatus): boolean {
  return (
    (type === 'Mounted' && desired !== 'mounted' && desired !== 'running') ||
    (type === 'Installed' && desired === 'absent')
  );
}
