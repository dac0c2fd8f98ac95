// northstate unpack, inspect and gen-key: package files, without a daemon.
import { inspect as inspectPackage, inspectJson, inspectShort, inspectText } from '../npk/inspect-package.ts';
import { generateKeys } from '../npk/signature/sign.ts';
import { unpack as unpackPackage } from '../npk/unpack.ts';
import { Failure, exitCodes } from './exit.ts';
import { keysIn } from './verify-command.ts';
import { printable, render, type Format } from './output.ts';
import { createProgress } from './progress.ts';

/** Unpacks a package into a directory; says on stderr what the program that does it left out. */
export async function unpack(
  given: string | undefined,
  options: {
    readonly npk?: string;
    readonly out: string;
    readonly key?: readonly string[];
    readonly unsquashfs?: string;
    readonly fsckErofs?: string;
    readonly progress?: boolean;
  },
): Promise<void> {
  const file = given ?? options.npk;
  if (file === undefined || (given !== undefined && options.npk !== undefined)) {
    throw new Failure('expected one package: northstate unpack FILE --out DIR', { code: exitCodes.usage });
  }
  const keys = await keysIn(options.key);
  const progress = createProgress(options.progress === true);
  const onProgress = (bytes: number, of: number): void => progress.show('verify', bytes / of);
  const notes = await unpackPackage(file, { ...options, keys, onProgress }).finally(progress.end);
  for (const note of notes) process.stderr.write(`northstate: ${printable(note)}\n`);
  process.stdout.write(`${options.out}\n`);
}

export interface InspectOptions {
  readonly output: Format;
  readonly short?: boolean;
}

/** Prints what a package is: its format, manifest, signature and image. */
export async function inspect(file: string, { output, short }: InspectOptions): Promise<void> {
  const found = await inspectPackage(file);
  if (short === true) process.stdout.write(`${inspectShort(found)}\n`);
  else if (output === 'table') process.stdout.write(inspectText(found));
  // Through JSON, so that YAML gets the 64-bit numbers that JSON.stringify writes as they are.
  else process.stdout.write(await render(inspectJson(found), output));
}

/** Makes a pair of keys and prints the paths. */
export async function generateKey({ name, out }: { readonly name: string; readonly out: string }): Promise<void> {
  const { secret, public: shared } = await generateKeys(out, name);
  process.stdout.write(`${secret}\n${shared}\n`);
}
