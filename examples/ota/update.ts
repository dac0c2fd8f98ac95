// An updater: brings a device to the document on its server, and tells the server what became of it. What is under way, and how it
// ended, the runtime knows: the updater keeps nothing, and may be killed at any point and run again.
//
//   update.ts URL [--timeout SECONDS] [--console URL]
//
// URL is of the directory that make-bundle.ts has filled. Exit codes: 0 confirmed, 1 it could not be tried or told (run it again),
// 3 refused, or tried and taken back.
import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { connect, ConnectionLost, ConsoleError } from 'northstate';

// What goes wrong is said in a line, to whoever reads the updater's log.
process.on('uncaughtException', (error) => {
  console.error(`ota: ${error.message}`);
  process.exit(1);
});

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { timeout: { type: 'string', default: '600' }, console: { type: 'string' } },
});
const [server] = positionals;
if (server === undefined) {
  console.error('usage: update.ts URL [--timeout SECONDS] [--console URL]');
  process.exit(2);
}
const timeout = Number(values.timeout) * 1000;
const at = (file: string): URL => new URL(file, server.endsWith('/') ? server : `${server}/`);

/** Bytes of a document. */
const largest = 4 * 1024 * 1024;
/** ms of silence after which a server is given up. */
const patience = 10_000;

const text = await fetchDocument();
const northstate = await connect({
  ...(values.console !== undefined && { url: values.console }),
  patience: { first: 30_000, later: 30_000 },
});
try {
  process.exitCode = await bring();
} finally {
  northstate.close();
}

/** From wherever an earlier updater has come to. */
async function bring(): Promise<number> {
  let { standing, generation } = await stand();
  while (standing === 'unknown') {
    try {
      generation = await northstate.apply(text);
      say(`applied generation ${generation}`);
      standing = 'on trial';
    } catch (error) {
      if (error instanceof ConsoleError) return await tell('refused', error.message, 3);
      if (!(error instanceof ConnectionLost)) throw error; // else whether it was done shows now
      ({ standing, generation } = await stand());
    }
  }
  if (standing === 'confirmed') return await tell('confirmed', null, 0);
  if (standing === 'on trial' && generation !== null) {
    await confirm(generation);
    const { result, reason } = await northstate.outcome({ timeout, generation, for: 'confirmed' });
    if (result === 'timeout') throw new Error(`not decided after ${values.timeout} s: ${reason ?? 'it goes on'}`);
    return result === 'converged' ? await tell('confirmed', null, 0) : await tell('reverted', reason, 3);
  }
  const { trial } = await northstate.call('trial', null);
  return await tell('reverted', trial?.cause?.message ?? null, 3);
}

/** What the runtime has made of our document. */
async function stand(): Promise<Stand> {
  const { trial } = await northstate.call('trial', null);
  const tried = trial === null ? null : await northstate.textOf(trial.generation).catch(unknownGeneration);
  if (trial === null || tried !== text) {
    const { document } = await northstate.desired();
    return { standing: document === text ? 'confirmed' : 'unknown', generation: null };
  }
  const { state, generation } = trial;
  if (state === 'staged' || state === 'active') return { standing: 'on trial', generation };
  return { standing: state === 'confirmed' ? 'confirmed' : 'reverted', generation };
}

interface Stand {
  readonly standing: 'unknown' | 'on trial' | 'confirmed' | 'reverted';
  /** The generation that is or was on trial with it. */
  readonly generation: number | null;
}

function unknownGeneration(error: unknown): null {
  if (error instanceof ConsoleError && error.reason === 'unknown_generation') return null;
  throw error;
}

/**
 * Once all is ready, and the server can still be reached from there. A device that the new document has cut off goes back by itself,
 * when the time is over that the document gives us.
 */
async function confirm(generation: number): Promise<void> {
  const { result } = await northstate.outcome({ timeout, generation });
  if (result !== 'converged') return;
  say('ready');
  for (;;) {
    const { trial } = await northstate.call('trial', null);
    if (trial?.generation !== generation || trial.state !== 'active' || trial.terms.confirm !== 'manual') return;
    try {
      await fetchDocument();
    } catch (error) {
      say(`the server is not there: ${String(error)}`);
      await delay(1000);
      continue;
    }
    say('the server is there');
    await northstate.call('confirm', { generation });
    return;
  }
}

/** Tells the server, and whoever reads the log; gives the exit code. */
async function tell(
  outcome: 'confirmed' | 'reverted' | 'refused',
  reason: string | null,
  code: number,
): Promise<number> {
  const body = JSON.stringify({ document: createHash('sha256').update(text).digest('hex'), outcome, reason });
  const told = await fetch(at('report'), { method: 'POST', body, signal: AbortSignal.timeout(patience) });
  await told.body?.cancel();
  if (!told.ok) throw new Error(`POST ${at('report').href}: ${told.status}`);
  say(reason === null ? outcome : `${outcome}: ${reason}`);
  return code;
}

async function fetchDocument(): Promise<string> {
  const { href } = at('desired.yaml');
  const response = await fetch(href, { signal: AbortSignal.timeout(patience) });
  if (!response.ok || response.body === null) throw new Error(`GET ${href}: ${response.status}`);
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    if (size > largest) throw new Error(`GET ${href}: more than ${largest} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
