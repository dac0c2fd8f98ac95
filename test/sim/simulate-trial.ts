// One run of a document on trial: a seed decides what documents come, how their containers fare, and when the power fails.
import { applyText } from '../../state/document/apply-document.ts';
import { giveUp } from '../../state/document/open-core.ts';
import { keepQuarantine } from '../../state/document/keep-quarantine.ts';
import { carryOutRevert, beginRevert } from '../../state/document/revert-document.ts';
import { synchronise } from '../../state/document/synchronise.ts';
import { settleTrial } from '../../state/document/trial-documents.ts';
import { messageOf } from '../../state/errno.ts';
import { isUnderWay } from '../../state/trial/trial-record.ts';
import { createRandom } from './random.ts';
import { createTrialDevice } from './trial-device.ts';

import { breach, documentOf, fates, openProcess, type Process, type Run } from './trial-process.ts';
import { look } from './trial-reconciler.ts';

export interface TrialOutcome {
  readonly seed: number;
  readonly broken: string | null;
  readonly trace: readonly string[];
}

/** Runs one seed; the same seed gives the same trace. */
export async function simulateTrial(seed: number): Promise<TrialOutcome> {
  const random = createRandom(seed);
  const device = createTrialDevice(random, documentOf('1'));
  const run: Run = {
    ...{
      random,
      device,
      trace: [],
      now: 1000,
      process: null,
      running: null,
      held: false,
      givenUp: false,
      unkept: null,
      broken: null,
    },
    ...{
      confirmed: new Set(['1.0.0']),
      tried: new Map(),
      staying: new Set(),
      leaving: new Set(),
      installed: new Set(['1', '2', '3']),
    },
  };
  try {
    await start(run, false);
    await rest(run);
    for (let left = random.between(3, 9); left > 0 && run.broken === null; left--) await happen(run);
    await calm(run);
  } catch (error) {
    run.broken ??= error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
  run.process?.driver.close();
  return { seed, broken: run.broken, trace: run.trace };
}

/** A process begins; where its end comes while it does, another one. */
async function start(run: Run, reboot: boolean): Promise<void> {
  const { device } = run;
  run.process?.driver.close();
  run.process = null;
  device.revive(reboot);
  if (reboot) Object.assign(run, { now: run.random.between(10, 500), running: null });
  if (run.random.chance(0.15)) device.cut = run.random.between(0, 12);
  run.trace.push(`a process begins in boot ${device.boot}`);
  const opened = await Promise.race([openProcess(run), device.ended]);
  if (opened === undefined) {
    run.trace.push('it ends while it begins');
    await start(run, run.random.chance(0.7));
    return;
  }
  run.process = opened;
}

/** Lets everything come about that does without time passing; where the end comes meanwhile, the next process begins. */
async function rest(run: Run): Promise<void> {
  for (let turn = 0; turn < 12; turn++) {
    const { process, device } = run;
    if (process === null || run.broken !== null) return;
    await Promise.race([look(run, process), device.ended]);
    if (!device.dead()) process.driver.look();
    await new Promise((resolve) => setImmediate(resolve));
    if (device.dead()) {
      run.trace.push('the end comes');
      await start(run, run.random.chance(0.7));
      continue;
    }
    judge(run, process);
    if (process.driver.idle()) return;
  }
}

/** What must hold at every moment. */
function judge(run: Run, { store, core }: Process): void {
  const { trial, desired } = store.get();
  const version = desired.containers.get('app')?.version ?? 'none';
  const record = trial?.record ?? null;
  if (record?.state === 'confirmed') run.confirmed.add(version);
  if (!isUnderWay(record)) {
    if (fates[version[0] ?? ''] !== 'good' && !run.confirmed.has(version))
      breach(run, `${version} stays, and was never confirmed`);
    return;
  }
  if (record.state !== 'active') {
    const isOnTrial = core.written.desired.containers.get('app')?.version === desiredOf(run, record.generation);
    if (record.state === 'reverting' && isOnTrial && !run.confirmed.has(version))
      breach(run, `${version} is in force, and goes back`);
    return;
  }
  const boots = run.tried.get(`${record.confirmed}`) ?? new Set<number>();
  run.tried.set(`${record.confirmed}`, boots.add(run.device.boot));
  if (record.boots > record.terms.boots)
    breach(run, `boot ${record.boots} is of a trial that has ${record.terms.boots}`);
}

function desiredOf({ device }: Run, generation: number): string | null {
  return device.asked.get(generation) ?? null;
}

async function happen(run: Run): Promise<void> {
  const { random, device } = run;
  const { process } = run;
  if (process === null) return;
  const what = random();
  if (random.chance(0.4)) device.cut = random.between(0, 25);
  if (what < 0.35) await bring(run, process, random.pick(['1', '2', '3', '4', '5']));
  else if (what < 0.45) {
    const version = random.pick(['1', '2', '3', '4']);
    run.trace.push(`the file is edited: ${version}`);
    device.file = documentOf(version);
    await until(run, () => process.enqueue(() => synchronise(process.core, process.file, true)));
  } else if (what < 0.6) {
    const at = process.deadline ?? run.now;
    run.now = random.chance(0.7) ? Math.max(run.now, at) : run.now + random.between(1, 3000);
    run.trace.push(`it is ${run.now}`);
  } else if (what < 0.7) {
    device.full = !device.full;
    run.trace.push(`the disk is ${device.full ? 'full' : 'not full any more'}`);
  } else if (what < 0.75) {
    device.fixed = !device.fixed;
    run.trace.push(`the file is ${device.fixed ? 'fixed' : 'not fixed any more'}`);
  } else if (what < 0.8) {
    const confirms = random.chance(0.3);
    run.trace.push(confirms ? 'somebody confirms' : 'somebody reverts');
    const record = process.store.get().trial?.record ?? null;
    if (confirms && record?.state === 'active')
      run.confirmed.add(process.store.get().desired.containers.get('app')?.version ?? '');
    const cause = { reason: 'Requested', message: 'somebody has asked for it', entries: [] } as const;
    await until(run, () => (confirms ? process.documents.confirm(null) : process.documents.revert(cause, null)));
  } else if (what < 0.83) {
    run.held = !run.held;
    run.trace.push(run.held ? 'a gate closes' : 'the gate opens');
  } else if (what < 0.86) {
    run.trace.push('a package arrives');
    run.installed.add(random.pick(['4', '5']));
  } else if (what < 0.89) {
    run.trace.push('five reconcilers have died on it');
    const { core, file } = process;
    const cause = { reason: 'ReconcilerDied', message: 'again', time: run.now, entries: [] } as const;
    const isTried = isUnderWay(core.trial) && core.trial.state !== 'reverting';
    run.givenUp ||= !isTried;
    await until(run, () => process.enqueue(() => (isTried ? beginRevert(core, file, cause) : giveUp(core))));
  } else {
    const reboot = random.chance(0.6);
    run.trace.push(reboot ? 'the device is started anew' : 'the process is killed');
    await start(run, reboot);
  }
  await rest(run);
}

async function bring(run: Run, process: Process, version: string): Promise<void> {
  run.trace.push(`apply: ${version}`);
  const { core, file, enqueue } = process;
  await until(run, () => enqueue(() => applyText(core, file, documentOf(version), { origin: 'sim' })));
}

/** Does something that may be refused, or in which the end comes. */
async function until(run: Run, act: () => Promise<unknown>): Promise<void> {
  await Promise.race([
    act().catch((error: unknown) => void run.trace.push(`  refused: ${messageOf(error)}`)),
    run.device.ended,
  ]);
}

/** Nothing fails any more: whatever is on trial comes to its end, and the device is what the one or the other says. */
async function calm(run: Run): Promise<void> {
  const { device } = run;
  Object.assign(device, { full: false, fixed: false });
  run.held = false;
  device.cut = null;
  run.trace.push('calm');
  for (const version of ['4', '5']) run.installed.add(version);
  if (run.random.chance(0.5)) await start(run, run.random.chance(0.5));
  for (let turn = 0; turn < 8 && run.broken === null; turn++) {
    device.cut = null;
    const { process } = run;
    if (process === null) {
      breach(run, 'there is no process');
      return;
    }
    const { core, file } = process;
    const settle = async (): Promise<void> => {
      await settleTrial(core);
      await carryOutRevert(core, file);
      if (core.quarantineLacks) await keepQuarantine(core, core.quarantine);
      await synchronise(core, file, true);
    };
    await until(run, () => process.enqueue(settle));
    await rest(run);
    if (process === run.process) run.now = Math.max(run.now, process.deadline ?? run.now) + 1;
  }
  if (run.broken !== null || run.process === null) return;
  const { store, core } = run.process;
  const { trial, desired, document } = store.get();
  const version = desired.containers.get('app')?.version ?? null;
  check(run, [
    [isUnderWay(trial?.record ?? null), `it is still ${trial?.record.state ?? ''}: ${trial?.waits ?? ''}`],
    [run.running !== version, `${run.running ?? 'nothing'} runs, and ${version ?? 'nothing'} is wanted`],
    [!run.confirmed.has(version ?? ''), `${version ?? 'nothing'} stays, and was never confirmed`],
    [
      document.status !== 'invalid' && core.besides === null && device.file !== core.text,
      'the file says something else than what is in force',
    ],
  ]);
  checkData(run);
  // The next boot finds the same.
  const before = version;
  await start(run, true);
  const after = versionOf(run);
  if (after !== before && !run.givenUp)
    breach(run, `another boot finds ${after ?? 'nothing'} instead of ${before ?? 'nothing'}`);
}

/** What was there before a trial is there, and nothing of one that was taken back. */
function checkData(run: Run): void {
  const { data, kept } = run.device.directory;
  const marks = new Set(data ?? []);
  const foreign = [...run.leaving].find((mark) => marks.has(mark));
  const lost = [...run.staying].find((mark) => !marks.has(mark));
  check(run, [
    [foreign !== undefined, `the data has a mark of ${foreign?.version ?? ''}, which was taken back`],
    [lost !== undefined, `the data has lost a mark of ${lost?.version ?? ''}`],
    [kept !== null, 'data is still kept'],
  ]);
}

/** The version that is wanted now. */
function versionOf({ process }: Run): string | null {
  return process?.store.get().desired.containers.get('app')?.version ?? null;
}

/** What is so and must not be. */
function check(run: Run, findings: readonly (readonly [boolean, string])[]): void {
  for (const [isSo, what] of findings) if (isSo) breach(run, what);
}
