// How a benchmark is ended.

/**
 * A signal ends a benchmark after the row that is being measured, which disposes of what it has made. A second one ends the process
 * at once: what must not stay is taken away as it exits (process.on('exit')). Gives whether the first has come.
 */
export function endOnSignals(): () => boolean {
  let ended = false;
  for (const [signal, number] of [
    ['SIGINT', 2],
    ['SIGTERM', 15],
  ] as const)
    process.on(signal, () => {
      if (ended) process.exit(128 + number);
      ended = true;
      process.stderr.write(`${signal}: ends after this row\n`);
    });
  return () => ended;
}
