// What a reconciler makes of a document on trial, and of the persistent data, in the simulation of trials.
import { planKeptData, type KeptDataStep } from '../../controllers/kept-data/kept-data-plan.ts';
import { createModel } from '../../controllers/reconcile/model.ts';
import { fates, type Process, type Run } from './trial-process.ts';
import { messageOf } from '../../state/errno.ts';
import type { ContainerStatus } from '../../state/status.ts';
import { isUnderWay } from '../../state/trial/trial-record.ts';
import { packageOf } from '../support/views.ts';
import type { Mark } from './trial-device.ts';

/** What a reconciler would have made of it: what is wanted runs, as far as its package is there and its data is as it must be. */
export async function look(run: Run, process: Process): Promise<void> {
  const { store } = process;
  const { desired } = store.get();
  const version = desired.containers.get('app')?.version ?? null;
  observe(run, process);
  if (run.running !== version) run.running = null;
  run.unkept = null;
  if (version !== null && run.installed.has(version[0] ?? '') && (run.running === null || isPending(run, process)))
    await replace(run, process, version);
  observe(run, process);
}

function observe(run: Run, { store }: Process): void {
  const { generation } = store.get();
  const mounts = new Map([['/data', { type: 'persist' as const }]]);
  const packages = [...run.installed].map((each) => {
    const found = packageOf(`${each}.0.0`);
    return { ...found, manifest: { ...found.manifest, mounts }, digest: `sha256:${each.repeat(64)}` };
  });
  const fate = fates[run.running?.[0] ?? ''] ?? 'never';
  const condition = {
    status: fate === 'good' ? 'True' : 'False',
    reason: fate === 'good' ? 'Running' : 'Exited',
  } as const;
  const conditions = [{ type: 'Ready' as const, ...condition, message: '', generation, lastTransition: '' }];
  const status = { phase: fate === 'bad' ? 'Failed' : 'Running', conditions } as unknown as ContainerStatus;
  const { kept } = run.device.directory;
  store.update((draft) => {
    draft.observed.packages = new Map([['app', packages]]) as typeof draft.observed.packages;
    draft.observed.kept = new Map(kept === null ? [] : [['app', kept]]);
    Object.assign(draft.status, { generation, observedGeneration: generation, containers: { app: status } });
  });
}

/** What is to be done about its data; nothing runs meanwhile. */
function dataSteps(run: Run, process: Process): readonly KeptDataStep[] {
  observe(run, process);
  const model = createModel({ autostart: false });
  model.update(process.store.get(), null);
  return planKeptData(model.view('app', run.now));
}

function isPending(run: Run, process: Process): boolean {
  return dataSteps(run, process).some(({ op }) => op !== 'keep-data');
}

/** The next instance begins, once its data is kept or back. */
async function replace(run: Run, process: Process, version: string): Promise<void> {
  const { onData, store } = process;
  for (let [step] = dataSteps(run, process); step !== undefined; [step] = dataSteps(run, process)) {
    if (step.op !== 'drop-data') run.running = null;
    try {
      await (dataActs[step.op] as (step: KeptDataStep, on: OnData) => Promise<void>)(step, onData);
    } catch (error) {
      run.unkept = messageOf(error);
      return;
    }
    run.trace.push(`  ${step.op} of ${step.version}`);
  }
  if (run.running === version) return;
  const { kept } = run.device.directory;
  if (kept !== null && !kept.touched && kept.version !== version)
    await onData((directory) => void (directory.kept = { ...kept, touched: true }));
  const record = store.get().trial?.record ?? null;
  const mark: Mark = { version, stays: !isUnderWay(record) };
  run.running = version;
  await onData((directory) => {
    directory.data = [...(directory.data ?? []), mark];
    if (mark.stays) run.staying.add(mark);
  });
}

type OnData = Process['onData'];

/** As controllers/kept-data/kept-data.ts goes, a call for each step on the disk. */
const dataActs: {
  readonly [O in KeptDataStep['op']]: (step: Extract<KeptDataStep, { op: O }>, on: OnData) => Promise<void>;
} = {
  async 'keep-data'({ version, confirmed }, onData) {
    await onData(() => undefined, true);
    await onData(
      (directory) => void (directory.kept = { version, confirmed, touched: false, data: directory.data }),
      true,
    );
  },
  async 'restore-data'(_, onData) {
    await onData((directory) => {
      if (directory.kept !== null && directory.kept.data !== null) directory.data = null;
    });
    await onData((directory) => {
      if (directory.kept === null || directory.kept.data === null) return;
      directory.data = directory.kept.data;
      directory.kept = { ...directory.kept, data: null };
    });
    await onData((directory) => void (directory.kept = null));
  },
  'drop-data': (_, onData) => onData((directory) => void (directory.kept = null)),
};
