// What a configuration file says, as the runtime uses it, beside the file or, where nothing can be written, in stateDir: a start that
// finds the file as it was reads neither YAML nor a schema. In the fields of the launcher's wire, since the boot player
// (native/player/summary.c) reads it, too.
import { lstat, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createEncoder } from '../../native/wire/encoder.ts';
import { createDecoder, WireError } from '../../native/wire/wire.ts';
import { isMissing, messageOf } from '../../state/errno.ts';
import { prepareFile } from '../../state/file/write-file.ts';
import { runtimeVersion } from '../runtime-version.ts';
import {
  configurationArgument,
  configurationFromArgument,
  defaultStateDir,
  northstarStateDir,
  usesBootPlan,
  type Configuration,
} from './configuration.ts';
import type { Source } from './read-configuration.ts';

/** Raised with every change of its form. */
const format = 2;
const magic = Buffer.from('northstate summary\n');

/** Where the summary of a source may lie, the first choice first. */
export function summaryFiles(source: Source): [string, string] {
  return [`${source.file}.summary`, inStateDir(stateDirIn(source))];
}

function inStateDir(directory: string): string {
  return join(directory, 'configuration.summary');
}

/**
 * Which stateDir it is at the first look, before anything of it is understood. It may be another: then nothing is found there,
 * since what lies there is compared with the whole source.
 */
function stateDirIn({ text, overrides }: Source): string {
  if (overrides.stateDir !== undefined) return overrides.stateDir;
  const words = Buffer.from(text ?? []).toString();
  const own = /^stateDir:[ \t]*(?:"(\/[^"\n]*)"|'(\/[^'\n]*)'|(\/[^#\n]*?))[ \t\r]*(?:#.*)?$/m.exec(words);
  if (own !== null) return own[1] ?? own[2] ?? own[3] ?? '';
  const toml = /^data_dir[ \t]*=[ \t]*"(\/[^"\n]*)"/m.exec(words);
  return toml === null ? defaultStateDir : northstarStateDir(toml[1] ?? '');
}

/** What the summary of a source begins with, after its mark. */
export function summaryHead(source: Source): Uint8Array {
  const to = createEncoder();
  writeSource(to, source);
  return to.end();
}

/** The configuration that was made of exactly this source by this version; null when none was kept, or when it is not root's. */
export async function findSummary(source: Source): Promise<Configuration | null> {
  for (const path of summaryFiles(source)) {
    const found = await summaryAt(path, source);
    if (found !== null) return found;
  }
  return null;
}

async function summaryAt(path: string, source: Source): Promise<Configuration | null> {
  try {
    const stats = await lstat(path);
    if (!stats.isFile() || stats.uid !== (process.getuid?.() ?? 0) || (stats.mode & 0o022) !== 0) return null;
    return decode(await readFile(path), source);
  } catch (error) {
    if (isMissing(error) || error instanceof WireError || error instanceof SyntaxError) return null;
    throw error;
  }
}

/** Keeps it for the next start, on the disk when this resolves. Rejects when neither place takes it, and says why. */
export async function keepSummary(source: Source, configuration: Configuration): Promise<void> {
  const { stateDir, runDir, desired } = configuration;
  const to = createEncoder();
  writeSource(to, source);
  to.u8(usesBootPlan(configuration) ? 1 : 0);
  for (const path of [stateDir, runDir, desired]) to.text(path);
  to.text(configurationArgument(configuration));
  const bytes = Buffer.concat([magic, to.end()]);
  const write = async (path: string): Promise<void> => await (await prepareFile(path, bytes)).commit();
  const [beside, kept] = summaryFiles(source);
  const reason = await write(beside).then(() => null, messageOf);
  if (reason === null) return;
  if (kept !== inStateDir(stateDir))
    throw new Error(`${reason}; and stateDir is not named on a line of its own, where a start would look for it`);
  await write(kept).catch((error: unknown) => {
    throw new Error(`${reason}; ${messageOf(error)}`, { cause: error });
  });
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
