// An updater: brings a device to a signed bundle, or back to what it was. It may be killed at any point and run again.
//
//   update.ts URL --key PUBLIC_KEY --progress FILE [--timeout SECONDS] [--console URL]
//
// Exit codes: 0 the bundle is in force and reached, 1 it could not be tried, 3 it failed and what was before is back.
import { readFile } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { parseArgs } from 'node:util';
import { connect, ConnectionLost, ConsoleError } from 'northstate';
import { largestBundle, openBundle, type BundledPackage } from './ota-bundle.ts';
import { download, fetchSmall } from './download.ts';
import { readProgress, writeProgress, type Progress } from './ota-progress.ts';

// What goes wrong is said in a line, to whoever reads the updater's log.
process.on('uncaughtException', (error) => {
  console.error(`ota: ${error.message}`);
  process.exit(1);
});

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    key: { type: 'string' },
    progress: { type: 'string' },
    timeout: { type: 'string', default: '60' },
    console: { type: 'string' },
  },
});
const [base] = positionals;
if (base === undefined || values.key === undefined || values.progress === undefined) {
  console.error('usage: update.ts URL --key PUBLIC_KEY --progress FILE [--timeout SECONDS] [--console URL]');
  process.exit(2);
}
const { progress: progressFile } = values;
const timeout = Number(values.timeout) * 1000;
const at = (file: string): string => new URL(file, base.endsWith('/') ? base : `${base}/`).href;

/** Edits of others that may come between our reading and our writing. */
const mostConflicts = 5;
/** Ends of the runtime that one package may outlive. */
const mostLosses = 5;

// The order of everything: nothing is changed before the bundle is known to be good, and the document comes last.
const [bytes, signature] = await Promise.all([
  fetchSmall(at('bundle.json'), largestBundle),
  fetchSmall(at('bundle.sig'), 1024),
]);
const { bundle, hash } = openBundle(bytes, signature.toString(), await readFile(values.key));
say('bundle verified');
const options = values.console === undefined ? {} : { url: values.console };
const northstate = await connect({ ...options, patience: { first: 30_000, later: 30_000 } });
try {
  const known = await readProgress(progressFile, hash);
  if (known?.outcome === 'failed') await giveUp(known);
  else {
    for (const each of bundle.packages) await install(each);
    await reach(await apply(known));
  }
} finally {
  northstate.close();
}

/** Streams a package in, unless it is there. One that did not arrive whole has left nothing behind. */
async function install(wanted: BundledPackage): Promise<void> {
  for (let losses = 0; ; losses++) {
    if ((await northstate.list()).includes(wanted.container)) {
      say(`present ${wanted.container}`);
      return;
    }
    try {
      const bytes = Readable.from(download(at(wanted.file), wanted.size, wanted.sha256), { objectMode: false });
      await northstate.install(wanted.repository, { size: wanted.size, bytes });
      say(`installed ${wanted.container}`);
      return;
    } catch (error) {
      if (!(error instanceof ConnectionLost) || losses >= mostLosses) throw error;
    }
  }
}

/** Makes the document the one in force, on top of the very generation that it is to replace. */
async function apply(known: Progress | null): Promise<Progress> {
  for (let conflicts = 0; ; conflicts++) {
    const { generation, document } = await northstate.desired();
    if (known !== null && document === bundle.document) return known;
    const progress: Progress = known ?? { bundle: hash, previous: await storedGeneration(), outcome: 'applying' };
    // First what to go back to, then what may need it.
    await writeProgress(progressFile, progress);
    try {
      say(`applied generation ${await northstate.apply(bundle.document, { expected: generation })}`);
      return progress;
    } catch (error) {
      if (error instanceof ConnectionLost) continue; // whether it was done shows when it is read again
      const isConflict = error instanceof ConsoleError && error.reason === 'conflict';
      if (!isConflict || conflicts >= mostConflicts) throw error;
    }
  }
}

async function storedGeneration(): Promise<number | null> {
  const { generations } = await northstate.call('history', null);
  return generations.find(({ inForce }) => inForce)?.generation ?? null;
}

/** Waits for the result and reports it; a document that is not reached gives way to the one before. */
async function reach(progress: Progress): Promise<void> {
  const { result, reason } = await northstate.outcome({ timeout });
  if (result === 'converged') {
    await writeProgress(progressFile, { ...progress, outcome: 'converged' });
    say('converged');
    return;
  }
  for (const line of await reasons()) say(line);
  const failed: Progress = { ...progress, outcome: 'failed' };
  await writeProgress(progressFile, failed);
  say(`not reached: ${result}${reason === null ? '' : ` (${reason})`}`);
  await giveUp(failed);
}

/** Goes back, unless that has been done. */
async function giveUp({ previous }: Progress): Promise<void> {
  process.exitCode = 3;
  const { document, generation } = await northstate.desired();
  if (document === bundle.document && previous !== null) {
    await northstate.rollback(previous, { expected: generation });
  }
  say(`rolled back: ${await northstate.wait({ timeout })}`);
}

/** Why each container is not what the bundle wants. */
async function reasons(): Promise<string[]> {
  const { containers } = await northstate.status();
  const explained = await Promise.all(Object.keys(containers).map((name) => northstate.call('explain', { name })));
  return explained.flatMap(({ unmet }) =>
    unmet === null ? [] : [`${unmet.container}: ${unmet.reason} ${unmet.message}`],
  );
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
