// northstate pack and inspect: package files, without a daemon.
import { inspect as inspectPackage, inspectJson, inspectShort, inspectText } from '../npk/inspect.ts';
import { pack as packPackage, type PackOptions } from '../npk/pack.ts';
import { printable, render, type Format } from './output.ts';

/** Makes a package and prints its path; says on stderr what of the older dialect its manifest uses. */
export async function pack(options: PackOptions): Promise<void> {
  const { path, deprecations } = await packPackage(options);
  for (const deprecation of deprecations) process.stderr.write(`northstate: ${printable(deprecation)}\n`);
  process.stdout.write(`${path}\n`);
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
