// A northstate that runs under a northstar.toml of the fixtures, as a device that ran Northstar would run it.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { northstate } from '../support/command.ts';
import { removeGroups } from '../support/leftover-groups.ts';
import { fixtures, type Transcript } from './replay.ts';

export interface Northstar {
  /** Where all of it is that DIR stands for in the configuration. */
  readonly directory: string;
  /** `unix:///path` of its console. */
  readonly console: string;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Starts it with the configuration and the packages that a transcript names, or files at absolute paths; gives it when it is
 * ready. `edit` changes the configuration; `atOnce` gives it before it is ready.
 */
export async function startNorthstar(
  { config, packages }: Omit<Transcript, 'events'>,
  { edit = (toml) => toml, atOnce = false }: { edit?: (toml: string) => string; atOnce?: boolean } = {},
): Promise<Northstar> {
  const directory = await mkdtemp(join(tmpdir(), 'northstate-'));
  const group = basename(directory);
  const path = (name: string): string => join(directory, name);
  const fixture = (name: string): string => fileURLToPath(new URL(name, fixtures));
  for (const name of ['system', 'one', 'state']) await mkdir(path(name));
  await copyFile(fixture('keys/fixture.pub'), path('fixture.pub'));
  for (const file of packages) await copyFile(fixture(file), path(`system/${basename(file)}`));
  const text = await readFile(fixture(config), 'utf8');
  const own = edit(text).replaceAll('DIR', directory).replace('cgroup = "fixtures"', `cgroup = "${group}"`);
  await writeFile(path('northstar.toml'), own);

  const settings = [
    '--config',
    path('northstar.toml'),
    '--desired',
    path('desired.yaml'),
    '--state-dir',
    path('state'),
  ];
  const child = spawn(northstate, ['run', ...settings], { stdio: ['ignore', 'ignore', 'pipe'] });
  const kill = (): void => void child.kill('SIGKILL');
  process.on('exit', kill);
  const exited = once(child, 'exit');
  const dispose = async (): Promise<void> => {
    process.off('exit', kill);
    kill();
    await exited;
    await removeGroups(group);
    await rm(directory, { recursive: true, force: true });
  };
  try {
    if (atOnce) child.stderr.resume();
    else await ready(child);
  } catch (error) {
    await dispose();
    throw error;
  }
  return { directory, console: `unix://${path('console')}`, [Symbol.asyncDispose]: dispose };
}

/** Waits for the line of its log that says so; what it says afterwards goes nowhere. */
async function ready({ stderr }: ChildProcess): Promise<void> {
  if (stderr === null) throw new Error('northstate has no standard error');
  const said: string[] = [];
  for await (const line of createInterface({ input: stderr })) {
    said.push(line);
    if (line.includes('"msg":"ready"')) {
      stderr.resume();
      return;
    }
  }
  throw new Error(`northstate did not come up:\n${said.join('\n')}`);
}
