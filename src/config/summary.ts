// What a configuration file says, as the runtime uses it, beside the file: a start that finds the file as it was reads neither YAML
// nor a schema. In the fields of the launcher's wire, since the boot player (native/player) reads it, too.
import { lstat, readFile } from 'node:fs/promises';
import { createEncoder } from '../../native/wire/encoder.ts';
import { createDecoder, WireError } from '../../native/wire/wire.ts';
import { isMissing } from '../../state/errno.ts';
import { prepareFile } from '../../state/file/write-file.ts';
import { runtimeVersion } from '../runtime-version.ts';
import { configurationFromArgument, configurationArgument, usesBootPlan, type Configuration } from './configuration.ts';
import type { Source } from './read-configuration.ts';

/** Raised with every change of its form. */
const format = 2;
const magic = Buffer.from('northstate summary\n');

/** Where the summary of a configuration file lies. */
export function summaryFile(file: string): string {
  return `${file}.summary`;
}

/** What the summary of a source begins with, after its mark. */
export function summaryHead(source: Source): Uint8Array {
  const to = createEncoder();
  writeSource(to, source);
  return to.end();
}

/** The configuration that was made of exactly this source by this version; null when none was kept, or when it is not root's. */
export async function findSummary(source: Source): Promise<Configuration | null> {
  const path = summaryFile(source.file);
  try {
    const stats = await lstat(path);
    if (!stats.isFile() || stats.uid !== (process.getuid?.() ?? 0) || (stats.mode & 0o022) !== 0) return null;
    return decode(await readFile(path), source);
  } catch (error) {
    if (isMissing(error) || error instanceof WireError || error instanceof SyntaxError) return null;
    throw error;
  }
}

/** Keeps it for the next start, on the disk when this resolves. Rejects with the errno. */
export async function keepSummary(source: Source, configuration: Configuration): Promise<void> {
  const { stateDir, runDir, desired } = configuration;
  const to = createEncoder();
  writeSource(to, source);
  to.u8(usesBootPlan(configuration) ? 1 : 0);
  for (const path of [stateDir, runDir, desired]) to.text(path);
  to.text(configurationArgument(configuration));
  await (await prepareFile(summaryFile(source.file), Buffer.concat([magic, to.end()]))).commit();
}

function writeSource(to: ReturnType<typeof createEncoder>, { file, text, overrides }: Source): void {
  to.u32(format);
  to.text(runtimeVersion);
  to.text(file);
  to.u8(text === null ? 0 : 1);
  to.bytes(text ?? Buffer.alloc(0));
  to.text(overrides.desired ?? '');
  to.text(overrides.stateDir ?? '');
}

/** What comes first in the file is compared as bytes: any other source, form or version is another beginning. */
function decode(bytes: Buffer, source: Source): Configuration | null {
  const expected = Buffer.concat([magic, summaryHead(source)]);
  if (!bytes.subarray(0, expected.length).equals(expected)) return null;
  const from = createDecoder(bytes.subarray(expected.length));
  from.u8();
  for (let path = 0; path < 3; path++) from.text();
  const json = from.text();
  from.end();
  return configurationFromArgument(json);
}
