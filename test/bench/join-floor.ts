// What joining a container costs at least (join-floor.c).
import { readFileSync } from 'node:fs';
import { run } from '../support/command.ts';
import { compiled } from './floor.ts';

/** ms of each round: until the first byte has come, and of the processor. `pid`: the init's, as the host sees it. */
export async function joinFloor(pid: number, rounds: number): Promise<{ waits: number[]; processor: number[] }> {
  const { code, stdout } = await run(await compiled('join-floor'), [String(pid), String(rounds), unifiedGroup(pid)]);
  if (code !== 0) throw new Error(`join-floor ends with ${code}`);
  const lines = stdout
    .trim()
    .split('\n')
    .map((line) => line.split(' ').map((ns) => Number(ns) / 1e6));
  return { waits: lines.map(([wait = NaN]) => wait), processor: lines.map(([, spent = NaN]) => spent) };
}

/** The directory of its v2 group; '' when it is in none. */
function unifiedGroup(pid: number): string {
  const [, mount = ''] = /^cgroup2 (\S+) /m.exec(readFileSync('/proc/mounts', 'utf8')) ?? [];
  const [, path = ''] = /^0::(\/.+)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, 'utf8')) ?? [];
  return mount === '' || path === '' ? '' : mount + path;
}
