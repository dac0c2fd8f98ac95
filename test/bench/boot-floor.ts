// The program that the boot and the end of many containers are compared with (boot-floor.c).
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { readPackage } from '../../src/npk/open-package.ts';
import { compiled } from './floor.ts';

/** CLOCK_MONOTONIC (ns) of the first instruction of each package's application. */
export async function bootFloor(files: readonly string[]): Promise<bigint[]> {
  return (await runFloor(files, false)).map(BigInt);
}

/** ms from SIGTERM to all of them until they and their mounts are gone. */
export async function endFloor(files: readonly string[]): Promise<number> {
  return Number((await runFloor(files, true)).at(-1)) / 1e6;
}

/** Its lines. With `ends` it is told to end them when all run. */
async function runFloor(files: readonly string[], ends: boolean): Promise<string[]> {
  const directory = await mkdtemp(join(tmpdir(), 'northstate-boot-floor-'));
  const { image } = await readPackage(files[0] ?? '');
  const words = [directory, String(image.offset), String(image.size), image.type, ...files];
  const child = spawn(await compiled('boot-floor'), [...(ends ? ['-e'] : []), ...words], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const closed = once(child, 'close');
  const lines: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line);
    if (ends && lines.length === files.length) child.stdin.end('\n');
  }
  await closed;
  await rm(directory, { recursive: true });
  return lines;
}
