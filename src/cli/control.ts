// Commands that order something of one container, or of a few.
import { signalName, signals } from '../../state/signals.ts';
import { consoleError } from '../client/console-client.ts';
import { ConsoleError, type Northstate } from '../client/northstate.ts';
import {
  containerOf,
  lifetimeOf,
  say,
  warnOfLoss,
  withConsole,
  type ConsoleOptions,
  type PatchOptions,
} from './console.ts';
import { exitCodes, Failure } from './exit.ts';
import { containerName } from '../../state/container-id.ts';

/** start NAME [KEY=VALUE...] [INIT [ARG...]]: what stands after the name replaces the manifest's for this run. */
export async function start(asked: string, words: readonly string[], options: PatchOptions): Promise<void> {
  const lifetime = lifetimeOf(options);
  const variables = words.findIndex((word) => !/^[^=/]+=/.test(word));
  const first = variables < 0 ? words.length : variables;
  const [init = null, ...args] = words.slice(first);
  const environment = Object.fromEntries(words.slice(0, first).map(variable));
  await withConsole(options, async (client) => {
    const container = await containerOf(client, asked);
    const done = await client.call('start', { container, init, arguments: args, environment, ...lifetime });
    say(options, `${container} started`);
    warnOfLoss(done);
  });
}

/**
 * kill NAME... [SIGNAL]: exactly this signal (TERM when none is named), no escalation; done when it is delivered. The last word is a
 * signal when it is a number or a signal's name and another word stands before it.
 */
export async function kill(words: readonly string[], options: PatchOptions): Promise<void> {
  const last = words.length > 1 ? (words.at(-1) ?? '') : '';
  const isSignal = /^\d+$/.test(last) || signals.has(bare(last)) || (words.length === 2 && /^[A-Z]+$/.test(last));
  const names = isSignal ? words.slice(0, -1) : words;
  const signal = isSignal ? last : 'TERM';
  const number = /^\d+$/.test(signal) ? Number(signal) : signals.get(bare(signal));
  if (number === undefined || number < 1 || number > 31) {
    throw new Failure(`there is no signal ${signal}`, {
      code: exitCodes.usage,
      hint: 'name one of 1 to 31, or TERM, KILL, HUP, ...',
    });
  }
  const lifetime = lifetimeOf(options);
  await forEach(names, options, async (client, asked) => {
    const container = await containerOf(client, asked);
    const killed = await client.call('kill', { container, signal: number, ...lifetime });
    say(options, `${container} got ${signalName(number)}`);
    warnOfLoss(killed);
  });
}

/** A signal's name in capitals, without SIG. */
function bare(signal: string): string {
  return signal.toUpperCase().replace(/^SIG/, '');
}

/** Does the same for each name, one after the other; all are tried, and what failed is one error in the end. */
async function forEach(
  names: readonly string[],
  options: ConsoleOptions,
  act: (client: Northstate, name: string) => Promise<void>,
): Promise<void> {
  await withConsole(options, async (client) => {
    const errors: (ConsoleError | Failure)[] = [];
    for (const name of names) {
      try {
        await act(client, name);
      } catch (error) {
        if (!(error instanceof ConsoleError || error instanceof Failure)) throw error;
        errors.push(error);
      }
    }
    const [first] = errors;
    if (first === undefined) return;
    if (errors.length === 1) throw first;
    throw new Failure(errors.map(({ message }) => message).join('; '));
  });
}

const done = {
  stop: 'stopped',
  pause: 'paused',
  resume: 'resumed',
  restart: 'restarted',
  update: 'updated',
} as const;

/** stop, pause, resume, restart, update NAME... `timeout`: ms until it is an error, for each. */
export async function order(
  what: keyof typeof done,
  names: readonly string[],
  { timeout, ...options }: PatchOptions & { readonly timeout: number },
): Promise<void> {
  const lifetime = lifetimeOf(options);
  await forEach(names, options, async (client, name) => {
    const { name: key, ...lasting } = await client.call(what, { name, timeout, ...lifetime });
    say(options, `${key} ${done[what]}`);
    warnOfLoss(lasting);
  });
}

/** mount, umount NAME...: each answered by itself; one that failed makes it an error. */
export async function mountOrUmount(
  what: 'mount' | 'umount',
  asked: readonly string[],
  options: PatchOptions,
): Promise<void> {
  const lifetime = lifetimeOf(options);
  await withConsole(options, async (client) => {
    const containers = await Promise.all(asked.map((each) => containerOf(client, each)));
    const outcomes = await client.call(what, { containers, ...lifetime });
    const failures: string[] = [];
    for (const [index, outcome] of outcomes.entries()) {
      if ('ok' in outcome) {
        say(options, `${outcome.ok.container} ${what}ed`);
        warnOfLoss(outcome.ok);
      } else failures.push(`${containers[index]}: ${consoleError(outcome.error.error).message}`);
    }
    if (failures.length > 0) throw new Failure(failures.join('; '), { hint: 'northstate get shows what is there' });
  });
}

/** uninstall NAME... [--wipe]. */
export async function uninstall(
  names: readonly string[],
  { wipe, ...options }: PatchOptions & { readonly wipe?: boolean },
): Promise<void> {
  const lifetime = lifetimeOf(options);
  await forEach(names, options, async (client, asked) => {
    const container = await containerOf(client, asked);
    const { data_kept_for: kept = [], ...lasting } = await client.call('uninstall', {
      container,
      wipe: wipe ?? false,
      ...lifetime,
    });
    say(options, `${container} uninstalled`);
    warnOfLoss(lasting);
    if (kept.length > 0) {
      const name = containerName(container);
      process.stderr.write(`northstate: the persistent data of ${name} stays for ${kept.join(', ')}\n`);
    }
  });
}

/** lock NAME: for `ttl` ms at most. */
export async function lock(
  name: string,
  { ttl, ...options }: ConsoleOptions & { readonly ttl: number },
): Promise<void> {
  await withConsole(options, async (client) => {
    const locked = await client.call('lock', { name, ttl });
    say(options, `${locked.name} locked for ${locked.ttl / 1000} s`);
  });
}

/** unlock NAME. */
export async function unlock(name: string, options: ConsoleOptions): Promise<void> {
  await withConsole(options, async (client) =>
    say(options, `${(await client.call('unlock', { name })).name} unlocked`),
  );
}

/** shutdown: done when the daemon has hung up. */
export async function shutdown(options: ConsoleOptions): Promise<void> {
  await withConsole(options, async (client) => {
    await client.call('shutdown', null);
    await client.closed();
  });
}

function variable(word: string): [string, string] {
  const at = word.indexOf('=');
  return [word.slice(0, at), word.slice(at + 1)];
}
