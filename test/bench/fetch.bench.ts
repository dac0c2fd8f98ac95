// bench/fetch: what an update costs over the net, for pairs of published packages (PyPI), as erofs plain, aligned, with lz4,
// and as squashfs: bytes and requests of a fetch by blocks and with a delta file, from a server on loopback that counts, beside
// the whole package and `zstd -19 --long --patch-from` of the same images. Needs PyPI, pip and zstd.
import { mkdir, mkdtemp, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { makeDelta } from '../../src/fetch/delta/make-delta.ts';
import { openFetch } from '../../src/fetch/fetch-package.ts';
import { defaultFetchSettings } from '../../src/fetch/fetch-settings.ts';
import { createHttp } from '../../src/fetch/http.ts';
import { readLayout, openFile } from '../../src/npk/open-package.ts';
import { pack, type PackOptions } from '../../src/npk/pack.ts';
import { generateKeys } from '../../src/npk/signature/sign.ts';
import { fileServer } from '../support/file-server.ts';
import { checked, row, type Row } from './measure.ts';

/** Compiled code, many small files of data, many small files of code. */
const pairs = [
  ['numpy', '1.26.3', '1.26.4'],
  ['botocore', '1.34.10', '1.34.20'],
  ['django', '5.0.1', '5.0.2'],
] as const;

const kinds: Readonly<Record<string, Partial<PackOptions>>> = {
  erofs: { fs: 'erofs' },
  'erofs aligned': { fs: 'erofs', aligned: true },
  'erofs lz4': { fs: 'erofs', compression: 'lz4' },
  squashfs: { fs: 'squashfs' },
};

const kB = 1000;

export async function* bench(): AsyncGenerator<Row> {
  const work = await mkdtemp(join(tmpdir(), 'northstate-bench-fetch-'));
  try {
    await generateKeys(work, 'bench');
    for (const [name, before, after] of pairs) {
      const roots = [await installed(work, name, before), await installed(work, name, after)] as const;
      for (const [kind, how] of Object.entries(kinds)) yield* update(work, `${name} ${kind}`, roots, how);
    }
  } finally {
    await rm(work, { recursive: true });
  }
}

/** The files of a wheel, unpacked. */
async function installed(work: string, name: string, version: string): Promise<string> {
  const [wheels, root] = [join(work, `${name}-${version}-wheel`), join(work, `${name}-${version}`)];
  const platform = ['--platform', 'manylinux2014_x86_64', '--python-version', '3.12', '--only-binary', ':all:'];
  await checked('pip', ['download', '-q', '--no-deps', ...platform, '-d', wheels, `${name}==${version}`]);
  const [wheel = ''] = await readdir(wheels);
  await mkdir(root);
  await checked('python3', ['-m', 'zipfile', '-e', join(wheels, wheel), root]);
  return root;
}

async function* update(
  work: string,
  title: string,
  roots: readonly [string, string],
  how: Partial<PackOptions>,
): AsyncGenerator<Row> {
  const made = join(work, title.replaceAll(' ', '-'));
  await mkdir(made);
  const paths: string[] = [];
  for (const [index, root] of roots.entries()) {
    const manifest = join(made, `${index}.yaml`);
    await writeFile(manifest, `name: app\nversion: ${index + 1}.0.0\ninit: /init\nuid: 1000\ngid: 1000\n`);
    const key = join(work, 'bench.key');
    paths.push((await pack({ manifest, root, out: made, key, architecture: null, ...how })).path);
  }
  const [old = '', fresh = ''] = paths;
  const bytes = await readFile(fresh);
  const whole = `${title}: the whole package`;
  yield row('fetch', whole, 'kB', [bytes.length / kB]);

  const blocks = await fetched(old, { 'app.npk': bytes });
  yield row('fetch', `${title}: by blocks`, 'kB', [blocks.bytes / kB], whole);
  yield row('fetch', `${title}: by blocks, requests`, 'requests', [blocks.requests]);
  yield row('fetch', `${title}: by blocks, time`, 'ms', [blocks.ms]);

  const patch = `${title}: zstd -19 --long --patch-from`;
  yield row('fetch', patch, 'kB', [(await patchFrom(made, old, fresh)) / kB]);
  const begin = performance.now();
  const delta = await makeDelta(old, fresh, { out: made });
  yield row('fetch', `${title}: delta file`, 'kB', [delta.size / kB], patch);
  yield row('fetch', `${title}: delta file, made in`, 'ms', [performance.now() - begin]);
  const withDelta = await fetched(old, { 'app.npk': bytes, [basename(delta.path)]: await readFile(delta.path) });
  yield row('fetch', `${title}: with the delta file`, 'kB', [withDelta.bytes / kB], whole);
  yield row('fetch', `${title}: with the delta file, time`, 'ms', [withDelta.ms]);
  await rm(made, { recursive: true });
}

async function fetched(
  old: string,
  files: Readonly<Record<string, Buffer>>,
): Promise<{ readonly bytes: number; readonly requests: number; readonly ms: number }> {
  await using server = await fileServer(files);
  const path = `${old}.fetched`;
  const http = createHttp(defaultFetchSettings);
  const { signal } = new AbortController();
  const begin = performance.now();
  const skipped = (message: string): void => console.error(message);
  const remote = await openFetch(http, server.url('app.npk'), { donors: [old], signal, skipped });
  await using file = await open(path, 'w+');
  await remote.into(file, null, async () => undefined);
  await remote.close();
  const ms = performance.now() - begin;
  http.close();
  if (!(await readFile(path)).equals(files['app.npk'] ?? Buffer.alloc(0)))
    throw new Error(`${path} is another package`);
  return { bytes: server.sent, requests: server.asked.length, ms };
}

/** Bytes of a patch between the data of two images. */
async function patchFrom(made: string, ...packages: readonly [string, string]): Promise<number> {
  const images = await Promise.all(
    packages.map(async (path, index) => {
      const { handle, bytes } = await openFile(path);
      const { image } = await readLayout(bytes);
      const data = Buffer.alloc(image.size);
      await handle.read(data, 0, image.size, image.offset);
      await handle.close();
      const out = join(made, `${index}.img`);
      await writeFile(out, data);
      return out;
    }),
  );
  const [old = '', fresh = ''] = images;
  const patch = join(made, 'patch');
  await checked('zstd', ['-q', '-19', '--long=27', `--patch-from=${old}`, fresh, '-o', patch]);
  return (await stat(patch)).size;
}
