// What joining a container costs at least (join-floor.c).
import { run } from '../support/command.ts';
import { compiled } from './floor.ts';

/** ms of each round: until the first byte has come, and of the processor. `pid`: the init's, as the host sees it. */
export async function joinFloor(pid: number, rounds: number): Promise<{ waits: number[]; processor: number[] }> {
  const { code, stdout } = await run(await compiled('join-floor'), [String(pid), String(rounds)]);
  if (code !== 0) throw new Error(`join-floor ends with ${code}`);
  const lines = stdout
    .trim()
    .split('\n')
    .map((line) => line.split(' ').map((ns) => Number(ns) / 1e6));
  return { waits: lines.map(([wait = NaN]) => wait), processor: lines.map(([, spent = NaN]) => spent) };
}
