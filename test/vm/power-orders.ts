// What the machine whose power goes is asked to do, and what each order may leave of the document and of the packages when
// the power goes while it is carried out.
import { isDeepStrictEqual } from 'node:util';
import { parse } from 'yaml';
import { documentOf } from '../support/test-daemon.ts';
import type { Random } from '../sim/random.ts';

export const directory = '/disk/northstate';
export const documentFile = `${directory}/desired.yaml`;
export const repository = `${directory}/packages`;

/** Whether a file is the draft of another one. In runDir, a tmpfs, none is left: what is there is being written. */
export function isDraft(file: string): boolean {
  return /\.northstate-|\.new$/.test(file) && !file.startsWith(`${directory}/run/`);
}

export type Order = DocumentOrder | Command | Takeover;
/** The same runtime takes over from itself. */
interface Takeover {
  readonly op: 'reexec';
}
interface DocumentOrder {
  readonly op: 'apply' | 'save';
  readonly document: string;
}
type Command =
  | { readonly op: 'start' | 'stop'; readonly container: string }
  | { readonly op: 'install'; readonly container: string; readonly file: string; readonly digest: string }
  | { readonly op: 'uninstall'; readonly container: string };

/** What lies on the disk: the document's text, the digest of each file in the repository by its path, the paths of all files. */
export interface Found {
  readonly document: string | null;
  readonly packages: Readonly<Record<string, string>>;
  readonly files: readonly string[];
}

/** What runs once it is as the document says: of which document each container is (`documentNumber`). */
export interface Running {
  readonly running: Readonly<Record<string, number>>;
  /** Containers that ran before the reconciler did. */
  readonly early: readonly string[];
  /** What the log says of a boot plan: so many were started from it, it does not count, or (null) there was none. */
  readonly played: number | string | null;
}

/** What the machine says: what a start finds, what it has made of it, and that an order is done. */
export type Reply =
  | { readonly found: Found }
  | { readonly up: Found & Running & { readonly generation: number } }
  | { readonly done: { readonly document: string; readonly generation: number } }
  | { readonly stopped: number | string };

/** The digest (SHA-256, hexadecimal) of each package by name:version. */
export type Packages = Readonly<Record<string, string>>;

/** A package that can be installed; two of them may have one name, and other bytes. */
export interface Candidate {
  /** name:version */
  readonly container: string;
  /** Where it lies in the guest. */
  readonly file: string;
  readonly digest: string;
}

/** Makes documents so long that their generations are stored as patches as well. */
const filler = Array.from({ length: 12 }, (_, index) => `, FILLER_${index}: ${'x'.repeat(1000)}`).join('');

/** A document that differs in what it says from that of any other number. */
export function documentNumber(number: number): string {
  const entry = (name: string, more = ''): string =>
    `${name}: { state: running, env: { DOCUMENT: "${number}"${more} } }`;
  const entries = [entry('app'), entry('side', filler)];
  return `# number ${number}\n${documentOf(repository, ...entries)}`;
}

/** An order that makes sense in this state. `number` has not been used before. */
export function nextOrder(random: Random, { document, packages, candidates, number, takeovers }: State): Order {
  if (takeovers && random.chance(0.2)) return { op: 'reexec' };
  const kind = random.pick(['document', 'command', 'package', 'package'] as const);
  if (kind === 'document') return { op: random.pick(['apply', 'save']), document: documentNumber(number) };
  if (kind === 'command') {
    const running = entriesOf(document)['app']?.['state'] === 'running';
    return { op: running ? 'stop' : 'start', container: 'app:1.0.0' };
  }
  const candidate = random.pick(candidates);
  const { container } = candidate;
  return container in packages ? { op: 'uninstall', container } : { op: 'install', ...candidate };
}

interface State {
  readonly document: string;
  readonly packages: Packages;
  readonly candidates: readonly Candidate[];
  readonly number: number;
  /** Whether the runtime takes over from itself now and then. */
  readonly takeovers: boolean;
}

/** The packages once an order is done. */
export function packagesAfter(order: Order, packages: Packages): Packages {
  if (order.op === 'install') return { ...packages, [order.container]: order.digest };
  if (order.op !== 'uninstall') return packages;
  return Object.fromEntries(Object.entries(packages).filter(([name]) => name !== order.container));
}

type Entries = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/** Whether a document is what an order, begun on the document `before`, may leave: nothing, all, or one of its generations. */
export function mayLeave(order: Order, before: string, document: string): boolean {
  if (document === before) return true;
  if (order.op === 'reexec') return false;
  if ('document' in order) return document === order.document;
  const was = entriesOf(before);
  return outcomes(order, was).some((entries) => isDeepStrictEqual(entriesOf(document), entries));
}

function outcomes(order: Command, was: Entries): Entries[] {
  const [name = ''] = order.container.split(':');
  const key = name in was ? name : order.container;
  const entry = was[key];
  switch (order.op) {
    case 'start':
      return [{ ...was, [key]: { ...entry, state: 'running' } }];
    case 'stop':
      return [{ ...was, [key]: { ...entry, state: 'mounted' } }];
    case 'install':
      return [
        { ...was, [key]: entry ? { ...entry, state: 'installed' } : { state: 'installed', repository: 'packages' } },
      ];
    case 'uninstall': {
      const { [key]: _, ...rest } = was;
      return [{ ...was, [key]: { ...entry, state: 'absent' } }, rest];
    }
  }
}

/** Of which document each container is that a document wants running. */
export function wantedBy(document: string): Running['running'] {
  const wanted = Object.entries(entriesOf(document)).filter(([, { state }]) => state === 'running');
  return Object.fromEntries(wanted.map(([name, { env }]) => [name, Number((env as { DOCUMENT: string }).DOCUMENT)]));
}

/** The entries of a document, without the number of the last start, which the runtime chooses. Throws when it is torn. */
function entriesOf(text: string): Entries {
  if (!text.endsWith('...\n')) throw new Error(`the document is torn:\n${text}`);
  const { containers } = parse(text) as { containers: Entries };
  const withoutRun = ([name, { run: _, ...entry }]: [string, Record<string, unknown>]) => [name, entry] as const;
  return Object.fromEntries(Object.entries(containers).map(withoutRun));
}
