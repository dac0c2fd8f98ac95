// What the guest needs of the host: the image, with what only a compiler makes, and the packages of the power cuts.
import { createHash, hash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { playerProgram } from '../support/boot-player.ts';
import { launcherProgram } from '../support/test-launcher.ts';
import { probePackage } from '../support/packages.ts';
import { guestRoot } from './bundle.ts';
import { makeImage, type Image } from './guest-image.ts';
import type { Candidate } from './power-orders.ts';

const root = path.resolve(import.meta.dirname, '../..');

export interface Guest {
  readonly image: Image;
  /** The packages that run while the power goes. */
  readonly running: readonly Candidate[];
  /** Those that come and go meanwhile; two of them have the same name and version. */
  readonly candidates: readonly Candidate[];
}

/** Makes or finds it all. `tests` are files of tests and benchmarks, by their paths below the checkout. */
export async function prepareGuest(tests: readonly string[]): Promise<Guest> {
  launcherProgram();
  playerProgram();
  const running = [await candidate('app', '1.0.0', 0), await candidate('side', '1.0.0', 0)];
  const candidates = [
    await candidate('extra', '1.0.0', 100),
    await candidate('extra', '1.0.0', 400),
    await candidate('extra', '2.0.0', 50),
    await candidate('other', '1.0.0', 1000),
  ];
  return { image: await makeImage(tests), running, candidates };
}

/** The same for the power cuts in trials: two versions with persistent data, and one beside them. */
export async function prepareTrials(): Promise<{ readonly image: Image; readonly packages: readonly string[] }> {
  launcherProgram();
  playerProgram();
  const fields = 'mounts: { /data: { type: persist } }';
  const files = await Promise.all([
    probePackage({ name: 'app', fields }),
    probePackage({ name: 'app', version: '2.0.0', fields }),
    probePackage({ name: 'side' }),
  ]);
  return { image: await makeImage([]), packages: files.map(inGuest) };
}

/** Where a file of .build lies in the guest. */
function inGuest(file: string): string {
  return path.join(guestRoot, path.relative(root, file));
}

/** `filler` is how much more it holds than a small program, in KiB that compression makes half of at best. */
async function candidate(name: string, version: string, filler: number): Promise<Candidate> {
  const files = filler === 0 ? {} : { 'usr/share/filler': noise(filler) };
  const file = await probePackage({ name, version, files });
  const digest = createHash('sha256')
    .update(await readFile(file))
    .digest('hex');
  return { container: `${name}:${version}`, file: inGuest(file), digest };
}

/** The same for the same size: packages are kept under what they are made of. */
function noise(kibibytes: number): string {
  const lines = Array.from({ length: 16 * kibibytes }, (_, line) => hash('sha256', `${kibibytes} ${line}`));
  return lines.join('');
}
