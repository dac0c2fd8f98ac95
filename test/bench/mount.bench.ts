// bench/mount: mounting one image and many, each kind of integrity, beside what the plain tools take for the same image.
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { pino } from 'pino';
import { createMounts } from '../../controllers/mounts/mounts.ts';
import type { Image } from '../../controllers/mounts/mounts-plan.ts';
import { readKeys } from '../../src/npk/signature/keys.ts';
import { readPackage } from '../../src/npk/open-package.ts';
import { createPackages } from '../../controllers/repositories/package-reader.ts';
import type { Integrity } from '../../state/desired.ts';
import { run } from '../support/command.ts';
import { startDaemon } from '../support/test-daemon.ts';
import { bulk, keyPair, probePackage } from '../support/packages.ts';
import { checked, repeated, row, type Row } from './measure.ts';

const { signal } = new AbortController();
const packages = createPackages();
const key = await keyPair('bench');
const many = 100;
const rounds = 3;
/** Where the kernel has a device mapper. */
const deviceMapper = '/dev/mapper/control';

export async function* bench(): AsyncGenerator<Row> {
  const work = await mkdtemp(join(tmpdir(), 'northstate-bench-'));
  try {
    yield* mounts(work);
    yield* severalMounts(work);
  } finally {
    await rm(work, { recursive: true });
  }
  yield* starts();
}

/** One image, mounted as each repository would, beside mount(8) and veritysetup(8). */
async function* mounts(work: string): AsyncGenerator<Row> {
  const file = await probePackage({ name: 'app', key: 'bench' });
  const big = await probePackage({ name: 'big', key: 'bench', files: { bulk: bulk(10_000_000) } });
  const floor = 'mount -o loop';
  yield row('mount', floor, 'ms', await repeated(() => mountByCommand(file, work)));
  yield row('mount', 'unverified', 'ms', await mountAs(work, file, 'none'), floor);
  yield row('mount', 'full check', 'ms', await mountAs(work, file, 'full-check'), floor);
  yield row('mount', 'full check of 10 MB before compression', 'ms', await mountAs(work, big, 'full-check'), floor);
  if (!existsSync(deviceMapper)) {
    process.stderr.write('dm-verity left out: this kernel has no device mapper; npm run bench:vm mount has one\n');
    return;
  }
  const verity = 'veritysetup open and mount';
  yield row('mount', verity, 'ms', await repeated(() => mountVerified(file, work)));
  yield row('mount', 'dm-verity', 'ms', await mountAs(work, file, 'dm-verity'), verity);
}

async function mountByCommand(file: string, work: string): Promise<number> {
  const { image } = await readPackage(file);
  const target = join(work, 'target');
  await mkdir(target, { recursive: true });
  const begin = performance.now();
  const options = `loop,ro,offset=${image.offset},sizelimit=${image.size}`;
  await checked('mount', ['-t', image.type, '-o', options, file, target]);
  const took = performance.now() - begin;
  await run('umount', [target]);
  return took;
}

async function mountVerified(path: string, work: string): Promise<number> {
  const { image, verified } = await readPackage(path, { keys: await readKeys(key.public) });
  const { rootHash = '', superblockOffset = 0 } = verified?.tree ?? {};
  const name = basename(work);
  const target = join(work, 'target');
  // veritysetup knows an offset for the hashes only, so that the image has to be a file of its own.
  const file = join(work, 'image');
  await checked('dd', ['status=none', `if=${path}`, `of=${file}`, 'bs=4096', `skip=${image.offset / 4096}`]);
  const begin = performance.now();
  await checked('veritysetup', ['open', file, name, file, rootHash, `--hash-offset=${superblockOffset}`]);
  await checked('mount', ['-t', image.type, '-o', 'ro', `/dev/mapper/${name}`, target]);
  const took = performance.now() - begin;
  await run('umount', [target]);
  await run('veritysetup', ['close', name]);
  return took;
}

function mountsIn(work: string) {
  return createMounts({ runDir: work, log: pino({ level: 'silent' }), verifyImage: packages.verifyImage });
}

async function imageOf(path: string, integrity: Integrity): Promise<Image> {
  const found = await readPackage(path, { keys: await readKeys(key.public) });
  const { offset, size, type } = found.image;
  const tree = integrity === 'none' ? null : (found.verified?.tree ?? null);
  return {
    offset,
    size,
    type,
    integrity,
    tree,
    path,
    identity: found.identity,
    repository: 'system',
    devices: false,
    context: null,
  };
}

async function mountAs(work: string, path: string, integrity: Integrity): Promise<number[]> {
  const image = await imageOf(path, integrity);
  const controller = mountsIn(work);
  const step = { name: 'app', id: 'app:1.0.0', waits: null } as const;
  return await repeated(async () => {
    const begin = performance.now();
    await controller.act({ op: 'mount', ...step, image }, signal);
    const took = performance.now() - begin;
    await controller.act({ op: 'umount', ...step }, signal);
    return took;
  });
}

async function names(): Promise<{ name: string; file: string }[]> {
  const all: { name: string; file: string }[] = [];
  for (let index = 0; index < many; index++) {
    const name = `c-${index}`;
    all.push({ name, file: await probePackage({ name, key: 'bench' }) });
  }
  return all;
}

/** 100 signed images, checked whole: one after the other, and all at once as the loop has it. */
async function* severalMounts(work: string): AsyncGenerator<Row> {
  const all = await names();
  const images = await Promise.all(all.map(({ file }) => imageOf(file, 'full-check')));
  const controller = mountsIn(work);
  const act = async (op: 'mount' | 'umount', index: number): Promise<void> => {
    const { name = '' } = all[index] ?? {};
    const image = images[index] as Image;
    await controller.act({ op, name, id: `${name}:1.0.0`, waits: null, image }, signal);
  };
  const timed = async (mount: () => Promise<unknown>): Promise<number> => {
    const begin = performance.now();
    await mount();
    const took = performance.now() - begin;
    for (const index of images.keys()) await act('umount', index);
    return took;
  };
  const serial = `${many} images, one after the other`;
  const one = () =>
    timed(async () => {
      for (const index of images.keys()) await act('mount', index);
    });
  const together = () => timed(() => Promise.all(images.map((_, index) => act('mount', index))));
  yield row('mount', serial, 'ms', await repeated(one, rounds));
  yield row('mount', `${many} images, in parallel`, 'ms', await repeated(together, rounds), serial);
}

/** From exec of the daemon until 100 images are mounted, which no entry asks for; and one after the other by mount(8). */
async function* starts(): AsyncGenerator<Row> {
  const files = (await names()).map(({ file }) => file);
  const floor = `${many} times mount -o loop`;
  yield row('mount', floor, 'ms', await repeated(() => mountAll(files), rounds));
  const document = (dir: string) => `apiVersion: northstate/v1
repositories: { packages: { type: fs, dir: ${dir}, mountOnStart: true } }
...
`;
  const samples = await repeated(async () => {
    const directory = await mkdtemp(join(tmpdir(), 'northstate-'));
    await mkdir(join(directory, 'packages'));
    for (const file of files) await cp(file, join(directory, 'packages', basename(file)));
    const begin = performance.now();
    await using daemon = await startDaemon({ asOnDevice: true, packages: [], directory, document });
    await daemon.until('all are mounted', ({ containers }) => {
      const all = Object.values(containers);
      return all.length === many && all.every((each) => each.mounted);
    });
    return performance.now() - begin;
  }, rounds);
  yield row('mount', `${many} packages mounted on start`, 'ms', samples, floor);
}

async function mountAll(files: readonly string[]): Promise<number> {
  const work = await mkdtemp(join(tmpdir(), 'northstate-bench-'));
  let took = 0;
  for (const file of files) took += await mountByCommand(file, join(work, basename(file)));
  await rm(work, { recursive: true });
  return took;
}
