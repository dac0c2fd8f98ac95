// What every command needs that talks to a running daemon.
import { readFile } from 'node:fs/promises';
import { defaultConsole } from '../console/protocol/address.ts';
import type { Lasting } from '../console/protocol/answers.ts';
import { connect, ConsoleError, NoConsole, type ConnectOptions, type Northstate } from '../client/northstate.ts';
import type { Lifetime } from '../runtime/runtime.ts';
import { exitCodes, Failure } from './exit.ts';
import { printable } from './output.ts';

/** Options of every command that talks to a daemon. */
export interface ConsoleOptions {
  readonly console?: string;
  /** Print the console's messages as they are, and nothing else. */
  readonly json?: boolean;
  /** Give up after so many ms. */
  readonly limit?: number;
  /** PEM files, for a console that wants certificates. */
  readonly tlsCa?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsName?: string;
}

/** Options of every command that changes the document. */
export interface PatchOptions extends ConsoleOptions {
  readonly boot?: boolean;
  readonly document?: boolean;
}

/** How long commands that go on wait for a daemon that has ended, in ms: its successor is there in a moment. */
const successorPatience = 2000;

export interface Connecting {
  readonly subscribe?: boolean;
  /** How long to wait for a daemon that is not there yet, in ms; 0 when left out. */
  readonly patience?: number;
  /** The same for the successor of one that has ended. */
  readonly later?: number;
  /** The exit code when there is none. */
  readonly absent?: number;
}

/** Connects, has `use` do its work, and hangs up. Errors of the console come as a Failure with a hint. */
export async function withConsole<T>(
  { console: given, json, limit, ...files }: ConsoleOptions,
  use: (client: Northstate) => Promise<T>,
  { subscribe = false, patience = 0, later = successorPatience, absent = exitCodes.noDaemon }: Connecting = {},
): Promise<T> {
  const url = given ?? process.env['NORTHSTATE_CONSOLE'] ?? defaultConsole;
  const tap = json === true ? (line: string) => void process.stdout.write(`${line}\n`) : undefined;
  let client: Northstate | null = null;
  try {
    client = await connect({ url, subscribe, patience: { first: patience, later }, tap, ...(await tlsOf(files)) });
    return await within(limit, use(client));
  } catch (error) {
    if (error instanceof NoConsole) {
      const hint = 'start the daemon with: northstate run, or name its console with --console';
      throw new Failure(error.message, { code: absent, hint });
    }
    if (error instanceof ConsoleError) {
      const code = error.reason === 'preflight' ? exitCodes.preflight : exitCodes.error;
      throw new Failure(place(error) + error.message, {
        code: isOfSigning(error) ? exitCodes.refused : code,
        hint: hints[error.reason] ?? null,
      });
    }
    throw error;
  } finally {
    client?.close();
  }
}

/** Whether it was refused for who may say what runs. */
function isOfSigning({ reason, message }: ConsoleError): boolean {
  return reason === 'not_admitted' || reason === 'document_signed' || message.includes('DocumentSigned: ');
}

/** The certificates for a console at tls://; nothing when no file is named. */
async function tlsOf(options: ConsoleOptions): Promise<Pick<ConnectOptions, 'tls'>> {
  const { tlsCa, tlsCert, tlsKey, tlsName } = options;
  if (tlsCa === undefined && tlsCert === undefined && tlsKey === undefined) return {};
  if (tlsCa === undefined || tlsCert === undefined || tlsKey === undefined) {
    throw new Failure('--tls-ca, --tls-cert and --tls-key belong together', { code: exitCodes.usage });
  }
  const [ca, cert, key] = await Promise.all([tlsCa, tlsCert, tlsKey].map(readPem));
  const servername = tlsName === undefined ? {} : { servername: tlsName };
  return { tls: { ca: ca ?? '', cert: cert ?? '', key: key ?? '', ...servername } };
}

async function readPem(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new Failure(`${path}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`);
  }
}

/** What `work` gives, unless that takes longer than `limit` ms. */
async function within<T>(limit: number | undefined, work: Promise<T>): Promise<T> {
  if (limit === undefined) return await work;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const failure = new Failure(`no answer within ${limit / 1000} s`, { code: exitCodes.timeout });
    timer = setTimeout(() => reject(failure), limit);
  });
  return await Promise.race([work, late]).finally(() => clearTimeout(timer));
}

/** Prints a line, unless the messages themselves are asked for. */
export function say({ json }: ConsoleOptions, line: string): void {
  if (json !== true) process.stdout.write(`${printable(line)}\n`);
}

/** Says on stderr why what was done does not last as long as was asked, where it does not. */
export function warnOfLoss({ not_durable: why }: Lasting): void {
  if (why !== undefined) process.stderr.write(`northstate: not durable: ${printable(why)}\n`);
}

/** Where in the document an error is. */
function place({ detail: { line, column } }: ConsoleError): string {
  return typeof line === 'number' && typeof column === 'number' && line > 0 ? `line ${line}, column ${column}: ` : '';
}

const hints: Readonly<Record<string, string>> = {
  invalid_container: 'northstate get shows what is there',
  unknown_name: 'northstate get shows what is there',
  umount_busy: 'stop it first with: northstate stop NAME',
  start_container_started: 'northstate restart NAME starts it again',
  stop_container_not_started: 'northstate get shows what runs',
  start_container_failed: 'northstate describe NAME and northstate logs NAME say more',
  conflict: 'get the document in force and apply again',
  unknown_generation: 'northstate history shows those that are stored',
  invalid_document: 'nothing was changed',
  preflight: 'nothing was changed; --force goes on all the same',
  not_admitted: 'nothing was changed',
  document_signed: 'nothing was changed',
  permission_denied: 'the configuration of the console says what is permitted',
};

/** The member of a request that says how long its patch lasts; undefined leaves it to the listener. */
export function lifetimeOf({ boot, document }: PatchOptions): { lifetime: Lifetime | undefined } {
  if (boot === true && document === true) {
    throw new Failure('--boot and --document exclude each other', { code: exitCodes.usage });
  }
  if (boot === true) return { lifetime: 'boot' };
  return { lifetime: document === true ? 'document' : undefined };
}

/** The `name:version` that a person means by `name` or `name:version`: what its entry stands for, else the only one installed. */
export async function containerOf(client: Northstate, asked: string): Promise<string> {
  if (asked.includes(':')) return asked;
  const { status } = await client.call('get', null);
  const version = Object.hasOwn(status.containers, asked) ? status.containers[asked]?.version : null;
  if (typeof version === 'string') return `${asked}:${version}`;
  const [first, ...others] = (await client.call('list', null)).filter((id) => id.startsWith(`${asked}:`)).toSorted();
  if (first === undefined)
    throw new Failure(`there is no container ${asked}`, { hint: 'northstate get shows what is there' });
  if (others.length > 0) {
    throw new Failure(`${asked} is there in several versions: ${[first, ...others].join(', ')}`, {
      code: exitCodes.usage,
      hint: 'name one of them',
    });
  }
  return first;
}
