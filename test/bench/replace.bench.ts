// bench/replace: from the last act of the old application to the first instruction of the new one when the version changes.
import { documentOf, startDaemon, type Daemon } from '../support/test-daemon.ts';
import { probePackage } from '../support/packages.ts';
import { openFloor } from './floor.ts';
import { row, type Row } from './measure.ts';
import { mountedImage } from './mounted.ts';
import { linesOf } from './rounds.ts';

const rounds = 100;
/** Writes the time of its first instruction and, when TERM comes, of its last act. */
const args = ['stamp', '-', 'signals', 'now'];
const proc = 'mounts: { /proc: { type: proc } }\n';
const limits = 'cgroups: { cpu: { shares: 512 }, memory: { memory_hard_limit: 100000000 } }\n';
const versions = ['1.0.0', '1.1.0'] as const;

export async function* bench(): AsyncGenerator<Row> {
  yield* measure('app', proc, 'old exit to new first instruction');
  yield* measure('limited', proc + limits, 'the same with cgroups');
}

/** By turns with the floor, in which a process ends and an init that is ready goes on. */
async function* measure(name: string, fields: string, what: string): AsyncGenerator<Row> {
  const packages = await Promise.all(versions.map((version) => probePackage({ name, version, args, fields })));
  const document = (dir: string, round: number) =>
    documentOf(dir, `${name}: { version: =${versions[round % 2] ?? ''}, state: running }`);
  await using daemon = await startDaemon({ asOnDevice: true, packages, document: (dir) => document(dir, 0) });
  await using image = await mountedImage(packages[0] ?? '');
  await using floor = await openFloor(image.path, fields.includes('cgroups') ? image.groups : [], ['-r']);
  const [least, samples]: [number[], number[]] = [[], []];
  for (let round = 1; round <= rounds; round++) {
    least.push((await floor.round()).start);
    samples.push(await replace(daemon, name, document(daemon.repository, round)));
  }
  yield row('replace', `floor: ${what}`, 'ms', least);
  yield row('replace', what, 'ms', samples, `floor: ${what}`);
}

/** Changes the version and gives the gap in ms. */
async function replace(daemon: Daemon, name: string, text: string): Promise<number> {
  const before = (await daemon.untilContainer(name, 'runs', ({ phase }) => phase === 'Running')).pid;
  await daemon.write(text);
  await daemon.untilContainer(name, 'is replaced', ({ pid, phase }) => phase === 'Running' && pid !== before);
  // The old one's first instruction, signal and last act, then the new one's first instruction.
  const lines = await linesOf(daemon.console, name, (all) => all.filter(isTime).length === 3);
  const [, last = 0n, first = 0n] = lines.filter(isTime).map(BigInt);
  return Number(first - last) / 1e6;
}

function isTime(line: string): boolean {
  return /^\d{6,}$/.test(line);
}
