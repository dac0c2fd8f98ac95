// Power cuts: a machine installs packages and changes its document until the power goes at a random request to its disk,
// and comes up again. Everything that was acknowledged must be there, what was under way as before or as after, nothing
// half, and the runtime must bring about what the document says.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { createRandom } from '../sim/random.ts';
import { startMachine } from './boot.ts';
import { converse, type Conversation } from './conversation.ts';
import { makeDisk } from './disk.ts';
import { checkFileSystem, emptyFileSystem } from './file-system.ts';
import type { Guest } from './guest.ts';
import { serveDisk } from './nbd.ts';
import {
  documentNumber,
  isDraft,
  mayLeave,
  nextOrder,
  packagesAfter,
  type Candidate,
  type Found,
  type Order,
  type Packages,
  type Reply,
  type Running,
  wantedBy,
} from './power-orders.ts';

const diskSize = 48 << 20;
/** The longest that a machine may take for its start or an order, ms: far more than it does when nothing else runs. */
const patience = 300_000;
const setUp = 'mount -t ext4 /dev/vdc /disk && exec </dev/ttyS0 && stty raw -echo && export NODE_COMPILE_CACHE= && ';

/** What is known of the disk: the last acknowledged state, and the order that was under way when the power went. */
interface Known {
  readonly document: string;
  readonly generation: number;
  readonly packages: Packages;
  readonly underWay: Order | null;
}

export interface PowerCuts extends Guest {
  /** Has the runtime take over from itself now and then; it takes its time in a machine that is emulated. */
  readonly takeovers?: boolean;
  readonly rounds: number;
  /** Gives the same orders again, and the same requests of the disk at which the power goes. */
  readonly seed: number;
  /** Told what happens, a line each. */
  readonly log: (line: string) => void;
}

/** How many of the boots started containers from a boot plan, and how many found one that did not count. */
export interface Boots {
  played: number;
  refused: number;
}

/** Cuts the power `rounds` times and looks after each; ends with an orderly stop. Rejects with what was found wrong. */
export async function cutPower({
  image,
  running,
  candidates,
  rounds,
  seed,
  log,
  takeovers = false,
}: PowerCuts): Promise<Boots> {
  const random = createRandom(seed);
  const folder = await mkdtemp(path.join(tmpdir(), 'northstate-power-'));
  const disk = makeDisk(await emptyFileSystem(folder, diskSize));
  const server = await serveDisk(disk, path.join(folder, 'disk'));
  const start = (): Conversation<Reply> =>
    converse(startMachine(image, `${setUp}node test/vm/guest/power-guest.ts`, { disk: server.url }), patience);
  const boots: Boots = { played: 0, refused: 0 };
  let orders = 1;
  const next = ({ document, packages }: Known): Order =>
    nextOrder(random, { document, packages, candidates, number: (orders += 1), takeovers });
  const tell = (up: Running): void => {
    if (typeof up.played === 'number') boots.played += 1;
    if (typeof up.played === 'string') boots.refused += 1;
    log(`up: ${JSON.stringify(up.running)}, from a plan: ${String(up.played)}`);
  };
  let machine = start();
  try {
    let known = await firstState(machine, running);
    for (let round = 1; round <= rounds; round++) {
      const cut = { early: round > 1 && random.chance(1 / 3), kept: random.pick([0, 0.5, 1]) };
      const requests = random.between(1, cut.early ? 60 : 250);
      const arm = (): void => void server.stopAfter(requests).then(machine.cut);
      if (cut.early) arm();
      const up = round === 1 ? known : await comeUp(machine, known, tell);
      if (!cut.early) arm();
      if (up !== null) known = await live(machine, up, next);
      await machine.ended;
      disk.losePower(random, cut.kept);
      log(`cut ${round}: ${cut.early ? 'start' : 'orders'}, request ${requests}, ${JSON.stringify(known.underWay)}`);
      await checkFileSystem(folder, disk.content);
      server.goOn();
      machine = start();
    }
    assert.ok(await comeUp(machine, known, tell));
    machine.send({ op: 'end' });
    assert.deepEqual(await machine.reply(), { stopped: 0 });
    await machine.ended;
    await checkFileSystem(folder, disk.content);
    return boots;
  } finally {
    await machine.cut();
    await server.close();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Packages that run, and a document that a person wrote. */
async function firstState(machine: Conversation<Reply>, running: readonly Candidate[]): Promise<Known> {
  const empty: Known = { document: '', generation: 0, packages: {}, underWay: null };
  for (const expected of ['found', 'up']) assert.ok(expected in ((await machine.reply()) ?? {}), expected);
  let known = await carryOut(machine, empty, { op: 'apply', document: documentNumber(1) });
  for (const each of running) known = await carryOut(machine, known, { op: 'install', ...each });
  return await carryOut(machine, known, { op: 'apply', document: documentNumber(1) });
}

/** Orders until the power goes. */
async function live(machine: Conversation<Reply>, known: Known, next: (known: Known) => Order): Promise<Known> {
  let last = known;
  while (last.underWay === null) last = await carryOut(machine, last, next(last));
  return last;
}

/** Has an order carried out; it is under way still when the power goes before the reply. */
async function carryOut(machine: Conversation<Reply>, known: Known, order: Order): Promise<Known> {
  machine.send(order);
  const reply = await machine.reply();
  if (reply === null) return { ...known, underWay: order };
  assert.ok('done' in reply, JSON.stringify(reply));
  const { document, generation } = reply.done;
  if (known.document !== '') assert.ok(mayLeave(order, known.document, document), difference(known, order, document));
  assert.ok(generation >= known.generation, `generation ${generation} after ${known.generation}`);
  return { document, generation, packages: packagesAfter(order, known.packages), underWay: null };
}

/** Looks at what a start finds and what it makes of it. Gives that, or null when the power goes before it is done. */
async function comeUp(machine: Conversation<Reply>, known: Known, tell: (up: Running) => void): Promise<Known | null> {
  const first = await machine.reply();
  if (first === null) return null;
  assert.ok('found' in first, JSON.stringify(first));
  check(known, first.found);
  const second = await machine.reply();
  if (second === null) return null;
  assert.ok('up' in second, JSON.stringify(second));
  const { up } = second;
  check(known, up);
  assert.ok(up.generation >= known.generation, `generation ${up.generation}, but ${known.generation} was acknowledged`);
  // The draft of the document has one name, and the next one is written over it (state/file/write-file.ts).
  assert.deepEqual(up.files.filter(isDraft), [], 'leftovers of what was cut off are still there');
  checkRunning(up.document ?? '', up);
  tell(up);
  return { document: up.document ?? '', generation: up.generation, packages: wholePackages(up), underWay: null };
}

/** All that runs is of the document, and what the boot plan started is what runs still: it was of the same one. */
function checkRunning(document: string, { running, early, played }: Running): void {
  assert.deepEqual(running, wantedBy(document));
  assert.equal(early.length, typeof played === 'number' ? played : 0, `${early.join(', ')}; ${String(played)}`);
}

/** What was acknowledged is there; what an order that was under way is about is as before it or as after it. */
function check(known: Known, found: Found): void {
  const { document, underWay, packages } = known;
  assert.ok(found.document !== null, 'the document is gone');
  const asKnown = found.document === document;
  assert.ok(
    asKnown || (underWay && mayLeave(underWay, document, found.document)),
    difference(known, underWay, found.document),
  );
  const allowed = underWay === null ? [packages] : [packages, packagesAfter(underWay, packages)];
  const whole = wholePackages(found);
  assert.ok(
    allowed.some((each) => isDeepStrictEqual(each, whole)),
    `packages ${JSON.stringify(whole)}, but ${allowed.map((each) => JSON.stringify(each)).join(' or ')} should be there`,
  );
}

/** The packages that have their names, by name:version. */
function wholePackages({ packages }: Found): Packages {
  const entries = Object.entries(packages).filter(([file]) => !path.basename(file).startsWith('.'));
  return Object.fromEntries(entries.map(([file, digest]) => [path.basename(file, '.npk'), digest]));
}

function difference({ document }: Known, order: Order | null, found: string): string {
  return `the document was\n${document}\nthen ${JSON.stringify(order)}, and is\n${found}`;
}
