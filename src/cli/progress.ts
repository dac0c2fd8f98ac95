// How far long work has come, on stderr: one line that is rewritten on a terminal, a line at each tenth elsewhere.

export interface Progress {
  /** Tells the step and the part of it that is done, 0 to 1. */
  show(step: string, part: number): void;
  /** Takes the line away. */
  end(): void;
}

/** ms before anything is shown: what is quick needs no progress. */
const PATIENCE = 500;
const INTERVAL = 100;

/** `asked`: the user wants it, also where stderr is no terminal. */
export function createProgress(asked: boolean): Progress {
  if (process.stderr.isTTY) return onTerminal();
  return asked ? inLines() : { show: () => undefined, end: () => undefined };
}

function onTerminal(): Progress {
  let next = performance.now() + PATIENCE;
  let isShown = false;
  return {
    show(step, part) {
      const now = performance.now();
      if (now < next) return;
      next = now + INTERVAL;
      isShown = true;
      process.stderr.write(`\r\x1b[K${step} ${percent(part)}`);
    },
    end() {
      if (isShown) process.stderr.write('\r\x1b[K');
    },
  };
}

function inLines(): Progress {
  let last = '';
  return {
    show(step, part) {
      const line = `${step} ${percent(Math.floor(part * 10) / 10)}\n`;
      if (line === last) return;
      last = line;
      process.stderr.write(line);
    },
    end: () => undefined,
  };
}

function percent(part: number): string {
  return `${Math.floor(part * 100)}%`;
}
