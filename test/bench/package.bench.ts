// bench/package: packing beside mksquashfs alone, hashing beside `openssl dgst -sha256` of the same file, and opening
// packages of different sizes. The cases of one round follow each other, so that a busy machine slows all of them.
import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile, type FileHandle } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createHasher, type Hasher } from '../../src/npk/image/hasher.ts';
import { readKeys, type PublicKey } from '../../src/npk/signature/keys.ts';
import { pack, type PackOptions } from '../../src/npk/pack.ts';
import { openPackage, type Package } from '../../src/npk/open-package.ts';
import { generateKeys } from '../../src/npk/signature/sign.ts';
import { verifyImage } from '../../src/npk/image/verify-image.ts';
import { makeTree } from '../../src/npk/image/write-verity.ts';
import { createRandom } from '../sim/random.ts';
import { checked, row, type Row } from './measure.ts';

const MB = 1_000_000;
const rounds = 5;
const opens = 50;

interface Ground extends AsyncDisposable {
  readonly work: string;
  readonly keys: readonly PublicKey[];
  /** Packs a directory in the way given; gives the path. */
  packed(root: string, name: string, how: Partial<PackOptions>): Promise<string>;
  /** A directory with so many MB that compress to about half. */
  tree(megabytes: number): Promise<string>;
}

export async function* bench(): AsyncGenerator<Row> {
  await using ground = await prepare();
  const big = await ground.packed(await ground.tree(500), 'big.npk', { compression: 'none' });
  const small = await ground.packed(await ground.tree(1), 'small.npk', { compression: 'none' });
  yield* opening(ground, small, big);
  yield* checking(ground, big);
  yield* packing(ground, await ground.tree(100));
}

async function* opening({ keys }: Ground, small: string, big: string): AsyncGenerator<Row> {
  for (const [how, judges] of [
    ['without a key', null],
    ['with a key', keys],
  ] as const) {
    const samples: Readonly<Record<string, number[]>> = { [small]: [], [big]: [] };
    for (let i = 0; i < opens; i++) {
      for (const path of [small, big]) {
        const open = async (): Promise<void> => (await openPackage(path, { keys: judges })).handle.close();
        samples[path]?.push(await milliseconds(open));
      }
    }
    yield row('package', `open 1 MB ${how}`, 'ms', samples[small] ?? []);
    yield row('package', `open 500 MB ${how}`, 'ms', samples[big] ?? [], `open 1 MB ${how}`);
  }
}

async function* checking({ keys }: Ground, path: string): AsyncGenerator<Row> {
  const { package: found, handle } = await openPackage(path, { keys });
  await using one = createHasher(1);
  await using all = createHasher();
  const floor = 'openssl dgst -sha256, 500 MB';
  const cases: Readonly<Record<string, () => Promise<unknown>>> = {
    [floor]: () => checked('openssl', ['dgst', '-sha256', path]),
    'veritysetup verify, 500 MB': () => veritysetup(path, found),
    'full check, 1 thread, 500 MB': () => check(handle, found, one),
    [`full check, ${availableParallelism()} threads, 500 MB`]: () => check(handle, found, all),
    [`hash tree, ${availableParallelism()} threads, 500 MB`]: () => makeNewTree(handle, found, all),
  };
  yield* measured(cases, floor);
  await handle.close();
}

async function* packing(ground: Ground, root: string): AsyncGenerator<Row> {
  const floor = 'mksquashfs alone, 100 MB';
  const image = join(ground.work, 'alone.img');
  const cases: Readonly<Record<string, () => Promise<unknown>>> = {
    [floor]: () => checked('mksquashfs', [root, image, '-noappend', '-quiet', '-no-progress']),
    'pack, 100 MB': () => ground.packed(root, 'packed.npk', { key: undefined }),
    'pack, signed, 100 MB': () => ground.packed(root, 'packed.npk', {}),
  };
  yield* measured(cases, floor);
}

/** All cases once for each round. */
async function* measured(cases: Readonly<Record<string, () => Promise<unknown>>>, floor: string): AsyncGenerator<Row> {
  const samples = new Map<string, number[]>();
  for (let round = 0; round < rounds; round++) {
    for (const [name, act] of Object.entries(cases)) {
      samples.set(name, [...(samples.get(name) ?? []), await milliseconds(act)]);
    }
  }
  for (const [name, each] of samples) {
    yield name === floor ? row('package', name, 'ms', each) : row('package', name, 'ms', each, floor);
  }
}

async function check(handle: FileHandle, { image, verified }: Package, hasher: Hasher): Promise<void> {
  if (verified === null) throw new Error('the package was not verified');
  await verifyImage(handle, image, verified.tree, { hasher });
}

/** Over as many bytes from the start of the file as the image has: what they are costs nothing. */
async function makeNewTree(handle: FileHandle, { verified }: Package, hasher: Hasher): Promise<void> {
  const { salt = '', uuid = '', dataBlocks = 0 } = verified?.tree ?? {};
  await makeTree(handle, dataBlocks, { salt, uuid, hasher });
}

async function veritysetup(path: string, { image, verified }: Package): Promise<void> {
  const { rootHash = '', superblockOffset = 0 } = verified?.tree ?? {};
  // It knows an offset for the hashes only, so that the image has to be a file of its own.
  const file = `${path}.img`;
  await checked('test', ['-s', file]).catch(() =>
    checked('dd', ['status=none', `if=${path}`, `of=${file}`, 'bs=4096', `skip=${image.offset / 4096}`]),
  );
  await checked('veritysetup', ['verify', file, file, rootHash, `--hash-offset=${superblockOffset}`]);
}

async function milliseconds(act: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await act();
  return performance.now() - started;
}

async function prepare(): Promise<Ground> {
  const work = await mkdtemp(join(tmpdir(), 'northstate-bench-'));
  const { secret, public: shared } = await generateKeys(work, 'bench');
  const manifest = join(work, 'manifest.yaml');
  await writeFile(manifest, 'name: bench\nversion: 1.0.0\ninit: /a\nuid: 1000\ngid: 1000\n');
  return {
    work,
    keys: await readKeys(shared),
    async packed(root, name, how) {
      return (await pack({ manifest, root, out: join(work, name), key: secret, ...how })).path;
    },
    async tree(megabytes) {
      const root = join(work, `root-${megabytes}`);
      await mkdir(root);
      await pipeline(Readable.from(noise(megabytes)), createWriteStream(join(root, 'file')));
      return root;
    },
    [Symbol.asyncDispose]: () => rm(work, { recursive: true, force: true }),
  };
}

/** Pieces of 1 MB: random bytes, each of them twice in a row. */
function* noise(megabytes: number): Generator<Buffer> {
  const random = createRandom(megabytes);
  const piece = Buffer.from(Array.from({ length: MB / 2 }, () => random.between(0, 255)));
  for (let i = 0; i < megabytes; i++) {
    piece.writeUInt32LE(i);
    yield Buffer.concat([piece, piece]);
  }
}
