// Power cuts in trials: a machine tries documents, confirms them and takes them back until the power goes at a random request to its
// disk, and comes up again. It must come to the confirmed document or to the one on trial, with all of its containers and their data.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createRandom, type Random } from '../sim/random.ts';
import { startMachine } from './boot.ts';
import { converse, type Conversation } from './conversation.ts';
import { makeDisk } from './disk.ts';
import { checkFileSystem, emptyFileSystem } from './file-system.ts';
import type { Image } from './guest-image.ts';
import { serveDisk } from './nbd.ts';
import { boots, trialDocument, type TrialFound, type TrialOrder, type TrialReply } from './trial-orders.ts';

const diskSize = 48 << 20;
/** The longest that a machine may take for its start or an order, ms: far more than it does when nothing else runs. */
const patience = 300_000;
const setUp = 'mount -t ext4 /dev/vdc /disk && exec </dev/ttyS0 && stty raw -echo && export NODE_COMPILE_CACHE= && ';
const versions = ['1.0.0', '2.0.0'] as const;

export interface TrialCuts {
  readonly image: Image;
  /** Where the packages lie in the guest. */
  readonly packages: readonly string[];
  readonly rounds: number;
  readonly seed: number;
  readonly log: (line: string) => void;
}

/** What the device may have come to. */
interface Outcome {
  /** Documents that were confirmed, the last one last. */
  readonly confirmed: readonly number[];
  /** The one on trial; null = none is. */
  readonly onTrial: number | null;
}

/** What is known of it. */
interface Known extends Outcome {
  /** Boots that may have been counted of the trial. */
  readonly boots: number;
  readonly underWay: TrialOrder | null;
  /** The last number that a document has had. */
  readonly last: number;
  /** Nothing could be written when it was last told something: the file may be another. */
  readonly wasFull: boolean;
}

export interface Ends {
  confirmed: number;
  reverted: number;
  /** Cuts in which the trial was active, or going back or forth. */
  inTrial: number;
  /** Trials that were taken back after so many boots in which nobody decided. */
  tooManyBoots: number;
}

/** Cuts the power `rounds` times and looks after each. Rejects with what was found wrong. */
export async function cutTrials({ image, packages, rounds, seed, log }: TrialCuts): Promise<Ends> {
  const random = createRandom(seed);
  const folder = await mkdtemp(path.join(tmpdir(), 'northstate-trials-'));
  const disk = makeDisk(await emptyFileSystem(folder, diskSize));
  const server = await serveDisk(disk, path.join(folder, 'disk'));
  const command = `${setUp}node test/vm/guest/trial-guest.ts ${packages.join(' ')}`;
  const start = () => converse<TrialReply>(startMachine(image, command, { disk: server.url }), patience);
  const ends: Ends = { confirmed: 0, reverted: 0, inTrial: 0, tooManyBoots: 0 };
  let machine = start();
  try {
    let known = await firstState(machine);
    for (let round = 1; round <= rounds; round++) {
      const cut = { early: round > 1 && random.chance(1 / 3), kept: random.pick([0, 0.5, 1]) };
      const requests = random.between(1, cut.early ? 60 : 250);
      const arm = (): void => void server.stopAfter(requests).then(machine.cut);
      if (cut.early) arm();
      let isUp = round === 1;
      if (!isUp) [known, isUp] = await comeUp(machine, known, ends, log);
      // Nobody decides: after so many boots it goes back.
      const isLeft = isUp && known.onTrial !== null && (known.boots > 1 || random.chance(0.6));
      if (isLeft) await machine.cut();
      else if (!cut.early) arm();
      while (isUp && !isLeft && known.underWay === null) known = await carryOut(machine, known, random, ends);
      await machine.ended;
      disk.losePower(random, cut.kept);
      if (known.onTrial !== null || known.underWay !== null) ends.inTrial += 1;
      log(
        `cut ${round}: ${cut.early ? 'start' : 'orders'}, request ${requests}, ${JSON.stringify({ ...known, underWay: known.underWay?.op ?? null })}`,
      );
      await checkFileSystem(folder, disk.content);
      server.goOn();
      machine = start();
    }
    assert.ok((await comeUp(machine, known, ends, log))[1], 'the machine did not come up');
    machine.send({ op: 'end' });
    assert.deepEqual(await machine.reply(), { stopped: 0 });
    await machine.ended;
    await checkFileSystem(folder, disk.content);
    return ends;
  } finally {
    await machine.cut();
    await server.close();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Packages, and a first document, which nobody has to confirm. */
async function firstState(machine: Conversation<TrialReply>): Promise<Known> {
  assert.ok('up' in ((await machine.reply()) ?? {}));
  machine.send({ op: 'try', number: 1, document: trialDocument(1, versions[1]) });
  const reply = await machine.reply();
  assert.ok(reply !== null && 'done' in reply, JSON.stringify(reply));
  const known = { confirmed: [1], onTrial: null, boots: 0, underWay: null, last: 1, wasFull: false } as const;
  check([known], reply.done, known);
  return known;
}

/** A document that is tried has another version than the confirmed one, also where it takes the place of one on trial. */
function nextOrder(random: Random, { confirmed, onTrial, last }: Known): TrialOrder {
  if (onTrial !== null && random.chance(0.85))
    return { op: random.chance(0.5) ? 'confirm' : 'revert', full: random.chance(0.3) };
  const number = last + 1;
  return { op: 'try', number, document: trialDocument(number, versions[versionOf(confirmed.length + 1)]) };
}

/** The first is confirmed with the second version, and each trial has the other one. */
function versionOf(confirmed: number): 0 | 1 {
  return confirmed % 2 === 0 ? 0 : 1;
}

async function carryOut(machine: Conversation<TrialReply>, known: Known, random: Random, ends: Ends): Promise<Known> {
  const order = nextOrder(random, known);
  machine.send(order);
  const reply = await machine.reply();
  const wasFull = order.op === 'try' ? false : order.full;
  const last = order.op === 'try' ? order.number : known.last;
  if (reply === null) return { ...known, last, underWay: order, wasFull: known.wasFull || wasFull };
  assert.ok('done' in reply, JSON.stringify(reply));
  const next = { ...known, ...after(known, order), underWay: null, last, wasFull, boots: bootsOf(reply.done) };
  check([next], reply.done, next);
  if (order.op === 'confirm') ends.confirmed += 1;
  if (order.op === 'revert') ends.reverted += 1;
  return next;
}

function after({ confirmed, onTrial }: Outcome, order: TrialOrder): Outcome {
  if (order.op === 'try') return { confirmed, onTrial: order.number };
  const all = order.op === 'confirm' && onTrial !== null ? [...confirmed, onTrial] : confirmed;
  return { confirmed: all, onTrial: null };
}

/** Looks at what a start has come to. False: the power has gone before it did. */
async function comeUp(
  machine: Conversation<TrialReply>,
  known: Known,
  ends: Ends,
  log: (line: string) => void,
): Promise<readonly [Known, boolean]> {
  const begun = { ...known, boots: known.boots + 1 };
  const reply = await machine.reply();
  if (reply === null) return [begun, false];
  assert.ok('up' in reply, JSON.stringify(reply));
  const found = check(outcomes(begun), reply.up, begun);
  log(`up: ${JSON.stringify(reply.up)}`);
  if (known.onTrial !== null && reply.up.trial?.reason === 'TooManyBoots') ends.tooManyBoots += 1;
  const counted = bootsOf(reply.up);
  // This one is, where it was on trial already. Of those whose power went before they were up some may not have been.
  const least = known.onTrial !== null && found.onTrial === known.onTrial ? 1 : 0;
  assert.ok(
    found.onTrial === null || (counted >= least && counted <= begun.boots),
    `${counted} boots were counted, and there may be ${least} to ${begun.boots}: ${JSON.stringify(reply.up)}`,
  );
  return [{ ...begun, ...found, underWay: null, boots: counted }, true];
}

/** How many the device itself has counted of the trial. */
function bootsOf({ trial }: TrialFound): number {
  return trial?.state === 'active' ? trial.boots : 0;
}

/** The confirmed document, or the one on trial; after too many boots the confirmed one. */
function outcomes(known: Known): Outcome[] {
  const { underWay, boots: counted } = known;
  const now = { confirmed: known.confirmed, onTrial: known.onTrial };
  const may = underWay === null ? [now] : [now, after(now, underWay)];
  const back = may
    .filter(({ onTrial }) => onTrial !== null && counted > boots)
    .map((each) => ({ ...each, onTrial: null }));
  return [...may, ...back];
}

/** All of the device is as one of the outcomes says; gives that. */
function check(may: readonly Outcome[], found: TrialFound, { wasFull }: Known): Outcome {
  const shown = `${JSON.stringify(found)}, and there may be ${JSON.stringify(may)}`;
  const isOn = found.trial?.state === 'active';
  const outcome = may.find(({ confirmed, onTrial }) =>
    isOn ? onTrial === found.number : onTrial === null && confirmed.at(-1) === found.number,
  );
  assert.ok(outcome !== undefined, `the document in force is none that may be: ${shown}`);
  const { confirmed, onTrial } = outcome;
  assert.deepEqual(found.running, { app: found.number, side: found.number }, shown);
  const data = onTrial === null ? confirmed : [...confirmed, onTrial];
  assert.deepEqual(found.data, data, `the data is of other documents: ${shown}`);
  assert.equal(found.left.filter((name) => name.startsWith('.kept:')).length, onTrial === null ? 0 : 1, shown);
  if (!wasFull) assert.equal(found.file, found.number, `the file has another document: ${shown}`);
  return outcome;
}
