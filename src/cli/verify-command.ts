// northstate verify: whether a package file is good, from end to end.
import { open } from 'node:fs/promises';
import { PackageError } from '../npk/package-error.ts';
import { createHasher } from '../npk/image/hasher.ts';
import { readKeys, type PublicKey } from '../npk/signature/keys.ts';
import { verifyPackage, type Verification } from '../npk/verify-package.ts';
import { exitCodes, Failure } from './exit.ts';
import { render, type Format } from './output.ts';
import { createProgress } from './progress.ts';

export interface VerifyOptions {
  readonly key?: readonly string[];
  readonly output: Format;
  readonly progress?: boolean;
  /** Of a document: the file that signs it. */
  readonly signature?: string;
}

/** The keys in files; null when none were given. */
export async function keysIn(files: readonly string[] | undefined): Promise<PublicKey[] | null> {
  return files === undefined ? null : (await Promise.all(files.map(readKeys))).flat();
}

/** Prints what was found; a fault ends with exit code 1 and is named by its class. */
export async function verify(file: string, { key, output, progress: asked, signature }: VerifyOptions): Promise<void> {
  const keys = await keysIn(key);
  if (!(await isPackage(file))) {
    const { verifyDocument } = await import('./sign-command.ts');
    await verifyDocument(file, keys, { output, ...(signature !== undefined && { signature }) });
    return;
  }
  const progress = createProgress(asked === true);
  await using hasher = createHasher();
  const onProgress = (bytes: number, of: number): void => progress.show('verify', bytes / of);
  const found = await verifyPackage(file, { keys, hasher, onProgress })
    .catch((error: unknown) => {
      if (error instanceof PackageError) return error;
      throw error;
    })
    .finally(progress.end);
  const isGood = !(found instanceof PackageError);
  if (output !== 'table') {
    const report = isGood ? { fault: null, message: null, ...found } : { fault: found.reason, message: found.message };
    process.stdout.write(await render({ file, ok: isGood, ...report }, output));
    if (!isGood) process.exitCode = exitCodes.error;
    return;
  }
  if (!isGood) throw new Failure(`${found.reason}: ${found.message}`);
  process.stdout.write(`${file}: ${summary(found)}\n`);
}

/** A package begins as a ZIP archive does; what is named like one is judged as one, whatever it holds. */
async function isPackage(file: string): Promise<boolean> {
  if (file.endsWith('.npk')) return true;
  await using handle = await open(file);
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(2), 0, 2, 0);
  return bytesRead === 2 && buffer.toString('latin1') === 'PK';
}

function summary({ name, version, signed, key, verity }: Verification): string {
  const what = `${name}:${version} is good`;
  if (verity !== null)
    return `${what}, signed with key ${key?.slice(0, 16) ?? ''}, ${verity.dataBlocks} data blocks verified`;
  return signed ? `${what} as far as can be told without --key: it is signed` : `${what}; it is not signed`;
}
