// northstate reset: what has accumulated on a device goes, as it left the factory. Also by a marker file, at the next start.
import { constants } from 'node:fs';
import { open, readdir, readFile, readlink, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Configuration } from '../config/configuration.ts';
import { ConfigurationError } from '../config/configuration-error.ts';
import { readConfiguration } from '../config/read-configuration.ts';
import { ifMissing } from '../../state/errno.ts';
import { serialFile } from '../../state/document/serial-floor.ts';
import { signatureFile } from '../../state/document/document-signature.ts';
import { quarantineName } from '../../state/trial/quarantine.ts';
import { Failure } from './exit.ts';

/**
 * `data`: what containers keep. `all`: that, the document and its generations, and with them the serial that signed documents have come
 * to; the seed is taken again.
 */
export type Reset = 'data' | 'all';

/** Name of the marker in stateDir; its content says which. */
const marker = 'reset';

/** Resets a device whose runtime is stopped. Throws a Failure that names the process when it is not. */
export async function reset({ config, ...options }: { config?: string; data?: boolean; all?: boolean }): Promise<void> {
  if ((options.data === true) === (options.all === true)) {
    throw new Failure('reset needs one of --data and --all', { code: 2 });
  }
  const configuration = await readConfiguration(config).catch((error: unknown) => {
    throw error instanceof ConfigurationError ? new Failure(error.message) : error;
  });
  await refuseWhileRunning(configuration);
  await resetDirectories(configuration, options.all === true ? 'all' : 'data');
}

/** Does what a marker asks for, before anything is read; it goes last, so that a power cut repeats the reset. */
export async function resetIfAsked(configuration: Configuration): Promise<Reset | null> {
  const file = join(configuration.stateDir, marker);
  const asked = await readFile(file, 'utf8').catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  });
  if (asked === null) return null;
  const what = asked.trim();
  if (what !== 'data' && what !== 'all') throw new Failure(`${file} says "${what}": data or all is wanted`);
  await resetDirectories(configuration, what);
  await unlink(file);
  return what;
}

async function refuseWhileRunning({ stateDir }: Configuration): Promise<void> {
  const file = join(stateDir, '.lock');
  const holder = (await readFile(file, 'utf8').catch(() => '')).trim();
  if (!/^\d+$/.test(holder)) return;
  const program = await readlink(`/proc/${holder}/exe`).catch(() => '');
  if (!program.includes('northstate-launcher')) return;
  throw new Failure(`the runtime is running, as process ${holder}`, {
    hint: `stop it, or have the next start do it: echo all > ${join(stateDir, marker)}`,
  });
}

async function resetDirectories({ dataDir, stateDir, runDir, desired }: Configuration, what: Reset): Promise<void> {
  await empty(dataDir, []);
  if (what === 'data') return;
  for (const file of [desired, signatureFile(desired), serialFile(runDir)]) await unlink(file).catch(ifMissing);
  // What has failed is not to be tried again by the seed either.
  await empty(stateDir, ['.lock', marker, quarantineName]);
}

/** Removes what a directory holds, but for some names; containers may have filled it with whatever they liked. */
async function empty(directory: string, kept: readonly string[]): Promise<void> {
  const handle = await open(directory, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW).catch(
    (error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw error;
    },
  );
  if (handle === null) return;
  const { removeTree } = await import('../../native/removal.ts'); // and with it koffi, which a start does without
  try {
    for (const name of await readdir(directory)) {
      if (!kept.includes(name)) await removeTree(handle.fd, name, join(directory, name));
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
}
