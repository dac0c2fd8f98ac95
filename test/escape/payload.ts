// Packages whose application is hostile: the program of payload/, as the init of a manifest, be it that of an example.
import { createHash } from 'node:crypto';
import { cp, glob, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pack } from '../../src/npk/pack.ts';
import { run } from '../support/command.ts';
import { kept } from '../support/packages.ts';

const sources = join(import.meta.dirname, 'payload');
/** What Linux 6.1 has. Later ones are the same to every filter: unknown. */
const lastCall = 450;

let program: Promise<string> | null = null;

/** The path of the program, static: it runs in an empty image. */
export function payload(): Promise<string> {
  return (program ??= compiled());
}

async function compiled(): Promise<string> {
  const files = (await Array.fromAsync(glob(join(sources, '*.{c,h}')))).sort();
  const texts = await Promise.all(files.map((file) => readFile(file, 'utf8')));
  return kept('escape', texts.join(''), 'escape', async (path) => {
    const folder = await mkdtemp(`${path}-`);
    const calls = [...(await systemCalls())].map(([name, number]) => `{${number}, "${name}"},\n`);
    await writeFile(join(folder, 'calls.inc'), calls.join(''));
    const options = '-std=gnu17 -Os -s -static -Wall -Wextra -Wshadow -Werror'.split(' ');
    const programs = files.filter((file) => file.endsWith('.c'));
    const { code, stderr } = await run('gcc', [...options, `-I${folder}`, '-o', path, ...programs]);
    if (code !== 0) throw new Error(`gcc ${sources}: ${stderr}`);
    await rm(folder, { recursive: true });
  });
}

/** Name and number of each system call of this architecture, in the order of the numbers. */
export async function systemCalls(): Promise<Map<string, number>> {
  const { stdout } = await run('gcc', ['-E', '-dM', '-include', 'sys/syscall.h', '-x', 'c', '/dev/null']);
  const found = [...stdout.matchAll(/^#define __NR_(\w+) (\d+)$/gm)].map(
    ([, name = '', number]) => [name, Number(number)] as const,
  );
  return new Map(found.filter(([, number]) => number <= lastCall).sort(([, a], [, b]) => a - b));
}

/**
 * Packs a manifest with the program at the place of its init. `prepare` adds to the image's directory, and is called once
 * for each `content`, which names what it adds.
 */
export async function hostilePackage(
  manifest: string,
  content = '',
  prepare: (root: string) => Promise<void> = () => Promise.resolve(),
): Promise<string> {
  const field = (name: string): string => new RegExp(`^${name}: *(.*)$`, 'm').exec(manifest)?.[1] ?? '';
  const program = await payload();
  const file = `${field('name')}-${field('version')}.npk`;
  return kept('hostile', JSON.stringify([manifest, program, content]), file, async (path) => {
    const work = await mkdtemp(`${path}-`);
    const root = join(work, 'root');
    await mkdir(root);
    const init = field('init');
    if (init !== '') {
      await mkdir(dirname(join(root, init)), { recursive: true });
      await cp(program, join(root, init));
    }
    await prepare(root);
    await writeFile(join(work, 'manifest.yaml'), manifest);
    await pack({ manifest: join(work, 'manifest.yaml'), root, out: path, compression: 'none' });
    await rm(work, { recursive: true });
  });
}

/** The SHA-256 of a file, hex. */
export async function digestOf(path: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(path))
    .digest('hex');
}
