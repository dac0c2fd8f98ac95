// bench/reexec: how long commands and exits wait while another runtime takes over.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { connectConsole, type Client } from '../../src/client/console-client.ts';
import { probePackage } from '../support/packages.ts';
import { firstBuild, makeSecondBuild } from '../support/second-build.ts';
import { documentOf, startDaemon } from '../support/test-daemon.ts';
import { row, type Row } from './measure.ts';

const rounds = 20;

export async function* bench(): AsyncGenerator<Row> {
  using second = makeSecondBuild();
  for (const count of [0, 20, 200]) {
    const packages = await Promise.all(
      Array.from({ length: count }, (_, index) => probePackage({ name: `c-${index}`, args: ['stamp', '-', 'sleep'] })),
    );
    const entries = packages.map((_, index) => `c-${index}: { state: running }`);
    await using daemon = await startDaemon({
      packages,
      document: (directory) => documentOf(directory, ...entries),
      asOnDevice: true,
      limits: { requestsPerSecond: 100_000 },
    });
    await daemon.until('all run', ({ converged }) => converged);
    daemon.unwatch();
    const client = await connectConsole(daemon.console);
    const [proofs, waits, plain]: number[][] = [[], [], []];
    for (let round = 0; round < rounds; round++) {
      const asking = ask(await connectConsole(daemon.console));
      const began = performance.now();
      await client.call('reexec', { to: (round % 2 === 0 ? second : firstBuild).directory, timeout: 60_000 });
      proofs?.push(performance.now() - began);
      const times = (await asking.end()).toSorted((a, b) => a - b);
      waits?.push(times.at(-1) ?? 0);
      plain?.push(times[Math.floor(times.length / 2)] ?? 0);
    }
    client.close();
    const log = readFileSync(join(daemon.directory, 'log'), 'utf8');
    const gaps = [...log.matchAll(/after (\d+) us without a loop/g)].map(([, us]) => Number(us) / 1000);
    const floor = `a command at any other time, ${count} containers`;
    yield row('reexec', floor, 'ms', plain ?? []);
    yield row('reexec', `the command that waits longest, ${count} containers`, 'ms', waits ?? [], floor);
    yield row('reexec', `an exit waits at most, ${count} containers`, 'ms', gaps);
    yield row('reexec', `from the request to its answer, ${count} containers`, 'ms', proofs ?? []);
  }
}

/** Asks for the list, again and again, until `end`, which gives how long each answer took. */
function ask(client: Client): { end(): Promise<number[]> } {
  const times: number[] = [];
  const over = new AbortController();
  const isOver = (): boolean => over.signal.aborted;
  const asking = (async () => {
    while (!isOver()) {
      const began = performance.now();
      await client.call('list', null);
      times.push(performance.now() - began);
    }
  })();
  return {
    async end() {
      over.abort();
      await asking;
      client.close();
      return times;
    },
  };
}
