// northstate inspect: a package file, without a daemon.
import { manifestForInspect } from '../npk/manifest-json.ts';
import { readPackage, type Package } from '../npk/package.ts';
import { printable, render, table, type Format } from './output.ts';

export interface InspectOptions {
  readonly output: Format;
}

/** Prints what a package is: its format, image and manifest. */
export async function inspect(file: string, { output }: InspectOptions): Promise<void> {
  const found = await readPackage(file);
  process.stdout.write(output === 'table' ? await forPeople(found) : await render(asObject(found), output));
}

async function forPeople({
  path,
  name,
  version,
  format,
  image,
  signed,
  deprecations,
  manifest,
}: Package): Promise<string> {
  const rows = [
    ['FILE', path],
    ['CONTAINER', `${name}:${version}`],
    ['FORMAT', format],
    ['SIGNED', signed ? 'yes' : 'no'],
    ['IMAGE', `${image.type}, ${image.compression}, ${image.size} bytes at ${image.offset}`],
    ...deprecations.map((deprecation) => ['DEPRECATED', deprecation]),
  ];
  const facts = table(rows.map((row) => row.map(printable)));
  return `${facts}\n${await render(JSON.parse(JSON.stringify(manifestForInspect(manifest))), 'yaml')}`;
}

function asObject({ manifest, ...others }: Package): unknown {
  return JSON.parse(JSON.stringify({ ...others, manifest: manifestForInspect(manifest) }));
}
