// The boot player below a launcher of its own, with a plan that a test writes; a shell in the place of the reconciler shows what
// it has left.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { machine, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { configurationOf, readSource } from '../../src/config/read-configuration.ts';
import { keepSummary, summaryHead } from '../../src/config/summary.ts';
import { runtimeVersion } from '../../src/runtime-version.ts';
import type { Played } from '../../src/boot/played.ts';
import { encodePlan, type BootPlan, type Deed } from '../../native/wire/boot-plan.ts';
import { launcherProgram } from './test-launcher.ts';

const root = join(import.meta.dirname, '../..');

/** The player's program, built when a source is newer; with PLAYER_BUILD=asan the one with sanitizers. */
export function playerProgram(): string {
  const kind = process.env['PLAYER_BUILD'];
  const arguments_ = kind === undefined ? [] : [kind];
  execFileSync('/bin/sh', [join(root, 'native/player/build-player.sh'), ...arguments_]);
  return join(root, '.build', kind === undefined ? 'northstate-player' : `northstate-player-${kind}`);
}

export interface Stage {
  readonly directory: string;
  path(name: string): string;
  /** The plan that counts here, whose only deed makes the directory `mark`. */
  readonly plan: BootPlan;
  /** What it says, with other deeds in its one unit behind everybody's. */
  withDeeds(...deeds: readonly Deed[]): BootPlan;
  write(plan: BootPlan | Uint8Array): Promise<void>;
  /** Starts a launcher, with further words for the reconciler; gives the player's report, null when it made none. */
  play(...more: readonly string[]): Played | null;
  /** Whether the deed of `plan` was done. */
  played(): boolean;
  [Symbol.asyncDispose](): Promise<void>;
}

/** As a boot leaves it. */
export function fresh(stage: Pick<Stage, 'path'>): void {
  for (const name of ['run', 'mark']) rmSync(stage.path(name), { recursive: true, force: true });
}

/** A configuration, its summary, a document and a generation, in a directory of their own. */
export async function openStage(): Promise<Stage> {
  const directory = await mkdtemp(join(tmpdir(), 'northstate-player-'));
  const path = (name: string): string => join(directory, name);
  await mkdir(path('state/generations'), { recursive: true, mode: 0o700 });
  const names = ['stateDir: state', 'runDir: run', 'desired: desired.yaml'];
  const text = names.map((line) => line.replace(': ', `: ${directory}/`)).join('\n');
  await writeFile(path('config.yaml'), `${text}\n`);
  await writeFile(path('desired.yaml'), 'apiVersion: northstate/v1\n');
  await writeFile(path('state/generations/0000000007-file.json'), '{}');
  await writeFile(path('state/generations/0000000007-lock.json'), '{}');
  const source = await readSource(path('config.yaml'));
  await keepSummary(source, await configurationOf(source));
  const mark: Deed = { deed: 'mkdir', path: path('mark'), mode: 0o700 };
  const units = (...deeds: readonly Deed[]): BootPlan['units'] => [
    { name: 'the runtime', needs: [], deeds: [] },
    { name: 'one', needs: [0], deeds },
  ];
  const plan: BootPlan = {
    ...{ runtime: runtimeVersion, kernel: release(), machine: machine(), source: summaryHead(source) },
    document: { path: path('desired.yaml'), text: Buffer.from('apiVersion: northstate/v1\n') },
    ...{ generation: 7, units: units(mark) },
  };
  // Kept descriptors begin at 10; the shell reads two digits only by way of /proc.
  const shell = ['/bin/sh', '-c', 'cat /proc/self/fd/10 >&2 2>/dev/null; echo END >&2; kill -9 $PPID', 'sh'];
  return {
    ...{ directory, path, plan },
    withDeeds: (...deeds) => ({ ...plan, units: units(...deeds) }),
    write: (next) =>
      writeFile(path('state/boot.plan'), next instanceof Uint8Array ? next : encodePlan(next), { mode: 0o600 }),
    play(...more) {
      const words = ['--first', playerProgram(), '--', ...shell, '--config', path('config.yaml'), ...more];
      const environment = { ...process.env, ASAN_OPTIONS: 'detect_leaks=0' };
      const { stderr } = spawnSync(launcherProgram(), words, { encoding: 'utf8', timeout: 60_000, env: environment });
      if (!stderr.endsWith('END\n')) throw new Error(`the launcher did not come to its reconciler:\n${stderr}`);
      const report = stderr.slice(0, -'END\n'.length);
      if (report.startsWith('{')) return JSON.parse(report) as Played;
      if (report !== '' && !report.startsWith('cat:')) throw new Error(report);
      return null;
    },
    played: () => existsSync(path('mark')),
    async [Symbol.asyncDispose]() {
      await rm(directory, { recursive: true, force: true });
    },
  };
}
