// Packages for tests, made once for each content and kept in .build: the probe (test/support/payload/probe.c) as the application.
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { rawPublicKey, readSecretKey } from '../../src/npk/signature/keys.ts';
import { pack } from '../../src/npk/pack.ts';
import { run } from './command.ts';

const build = join(import.meta.dirname, '../../.build');
const payload = join(import.meta.dirname, 'payload');

export interface ProbePackage {
  readonly name: string;
  /** 1.0.0 when left out. */
  readonly version?: string;
  /** The probe's program; see probe.c. */
  readonly args?: readonly string[];
  /** Further fields of the manifest, as YAML; one that stands here replaces that of the same name. */
  readonly fields?: string;
  /** Further files of the image: path -> content. */
  readonly files?: Readonly<Record<string, string>>;
  /** Name of the pair that signs it (keyPair); none = it is not signed. */
  readonly key?: string;
}

/** Gives the path of a package with the probe as `/probe`, which is its init unless `fields` says otherwise. */
export async function probePackage({
  name,
  version = '1.0.0',
  args,
  fields = '',
  files = {},
  key,
}: ProbePackage): Promise<string> {
  const manifest = merge(
    {
      ...{ name, version, init: '/probe', args: JSON.stringify(args ?? ['sleep']), uid: '1000', gid: '1000' },
      io: '{ stdout: pipe, stderr: pipe }',
    },
    fields,
  );
  const program = await probe();
  return kept('packages', JSON.stringify([manifest, files, program, key]), `${name}-${version}.npk`, async (path) => {
    const work = await mkdtemp(`${path}-`);
    await mkdir(join(work, 'root'));
    await copyFile(program, join(work, 'root/probe'));
    for (const [file, content] of Object.entries(files)) {
      await mkdir(dirname(join(work, 'root', file)), { recursive: true });
      await writeFile(join(work, 'root', file), content);
    }
    await writeFile(join(work, 'manifest.yaml'), manifest);
    const secret = key === undefined ? undefined : (await keyPair(key)).secret;
    await pack({ manifest: join(work, 'manifest.yaml'), root: join(work, 'root'), out: path, key: secret });
    await rm(work, { recursive: true });
  });
}

/** So many bytes of text that compresses little, always the same: an image with it has several blocks. */
export function bulk(bytes: number): string {
  const parts = Array.from({ length: Math.ceil(bytes / 64) }, (_, index) =>
    createHash('sha256').update(String(index)).digest('hex'),
  );
  return parts.join('').slice(0, bytes);
}

/** Gives the paths of a secret key and of its public half, the same for the same name. */
export async function keyPair(name: string): Promise<{ readonly secret: string; readonly public: string }> {
  const seed = createHash('sha256').update(name).digest();
  const secret = await kept('keys', name, 'secret.key', (path) => writeFile(path, seed, { mode: 0o600 }));
  const half = await kept('keys', name, 'public.pub', async (path) => {
    await writeFile(path, rawPublicKey(await readSecretKey(secret)));
  });
  return { secret, public: half };
}

/** Gives the path of the compiled probe: static, without a C library. */
export async function probe(): Promise<string> {
  const sources = await Promise.all(
    ['probe.c', 'numbered-calls.h'].map((file) => readFile(join(payload, file), 'utf8')),
  );
  return kept('payload', sources.join(''), 'probe', async (path) => {
    const options = '-std=gnu17 -Os -s -static -nostdlib -ffreestanding -fno-stack-protector -Wall -Wextra -Werror';
    const { code, stderr } = await run('gcc', [...options.split(' '), '-o', path, join(payload, 'probe.c')]);
    if (code !== 0) throw new Error(`gcc probe.c: ${stderr}`);
  });
}

/** Gives the command line that runs a program on a kernel without a system call, or without those up to `last` (enosys.c). */
export async function withoutSyscall(number: number, last = number): Promise<string[]> {
  const source = await readFile(join(payload, 'enosys.c'), 'utf8');
  const program = await kept('payload', source, 'enosys', async (path) => {
    const { code, stderr } = await run('gcc', ['-Wall', '-Wextra', '-Werror', '-o', path, join(payload, 'enosys.c')]);
    if (code !== 0) throw new Error(`gcc enosys.c: ${stderr}`);
  });
  return [program, String(number), String(last)];
}

let drafts = 0;

/** The path of what `make` makes once for each `content`. Others may do the same at the same time: a rename decides. */
export async function kept(
  kind: string,
  content: string,
  file: string,
  make: (path: string) => Promise<void>,
): Promise<string> {
  const hash = createHash('sha256').update(content).digest('hex').slice(0, 20);
  const path = join(build, 'test', kind, hash, file);
  if (existsSync(path)) return path;
  await mkdir(dirname(path), { recursive: true });
  const draft = `${path}.${process.pid}-${(drafts += 1)}`;
  await make(draft);
  await rename(draft, path);
  return path;
}

function merge(defaults: Readonly<Record<string, string>>, fields: string): string {
  const given = new Set([...fields.matchAll(/^\w+(?=:)/gm)].map(([field]) => field));
  const kept = Object.entries(defaults).filter(([field]) => !given.has(field));
  return `${kept.map(([field, value]) => `${field}: ${value}\n`).join('')}${fields}`;
}
