// The live table of the demo.
import { styleText } from 'node:util';
import { createLogUpdate } from 'log-update';
import { exitCell } from '../state/signals.ts';
import type { ContainerStatus, Phase, Status } from '../state/status.ts';

const columns = ['container', 'version', 'phase', 'pid', 'restarts', 'last exit'] as const;
type Row = Record<(typeof columns)[number], string>;

export interface LiveTable {
  /** Shows this status below the lines; on anything but a terminal, only the last one is shown. */
  update(status: Status): void;
  /** A line that stays, above the table. */
  line(text: string): void;
  /** Leaves the last table standing. */
  end(): void;
}

/** A table of the containers at the bottom of the terminal, lines of text above it. */
export function liveTable(stream: NodeJS.WriteStream): LiveTable {
  const live = createLogUpdate(stream);
  // A terminal may not know its size (ioctl_tty(2), TIOCGWINSZ); nothing could be drawn over there.
  const redraws = stream.isTTY && stream.rows > 0 && stream.columns > 0;
  let text = '';
  return {
    update(status) {
      text = render(status);
      if (redraws) live(`\n${text}`);
    },
    line(line) {
      if (redraws) {
        live.persist(line);
        live(`\n${text}`);
      } else stream.write(`${line}\n`);
    },
    end() {
      if (redraws) live.done();
      else stream.write(`\n${text}\n`);
    },
  };
}

function render(status: Status): string {
  const rows = Object.entries(status.containers).map(([name, container]) => row(name, container));
  const widths = columns.map((column) => Math.max(column.length, ...rows.map((each) => each[column].length)));
  const pad = (column: (typeof columns)[number], content: string): string =>
    content.padEnd((widths[columns.indexOf(column)] ?? 0) + 2);
  const head = columns.map((column) => styleText('dim', pad(column, column))).join('');
  const body = rows.map((each) => columns.map((column) => paint(column, each, pad(column, each[column]))).join(''));
  return [head, ...body].join('\n');
}

function row(name: string, container: ContainerStatus): Row {
  const { version, phase, pid, restarts, lastExit } = container;
  return {
    container: name,
    version: version ?? '-',
    phase,
    pid: pid === null ? '-' : String(pid),
    restarts: String(restarts),
    'last exit': exitCell(lastExit),
  };
}

const colours: Partial<Record<Phase, 'green' | 'yellow' | 'red'>> = {
  Running: 'green',
  Starting: 'yellow',
  Stopping: 'yellow',
  Backoff: 'yellow',
  Failed: 'red',
};

function paint(column: string, { phase }: Row, text: string): string {
  const colour = column === 'phase' ? colours[phase as Phase] : undefined;
  return colour === undefined ? text : styleText(colour, text);
}
