// What is measured: of each container, of the runtime. Labels are names of the document and words of ours, so that there
// are never more series than containers times a few.
import { trialStates } from '../../state/trial/trial-record.ts';
import { readFileSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import type { Counts } from '../../controllers/cgroups/cgroup-counts.ts';
import { phases, type ContainerStatus } from '../../state/status.ts';
import { ifMissing } from '../../state/errno.ts';
import type { State } from '../../state/store.ts';
import { containerName } from '../../state/container-id.ts';
import { runtimeVersion } from '../runtime-version.ts';
import type { Family, Sample } from './exposition.ts';

export interface MetricsPorts {
  readonly state: () => State;
  /** What the groups of a container count. */
  readonly counts: (name: string) => Counts;
  /** Reconcilers that the launcher has started, and sleeps since it began. */
  readonly starts: number;
  readonly sleeps: number;
}

/** Groups that are looked at before anybody else may go on. */
const stretch = 20;
const prefix = 'northstate_';

/** What was found: as families, and of each container that runs what its groups count. */
export interface Measured {
  readonly families: readonly Family[];
  readonly counts: Readonly<Record<string, Counts>>;
}

/** Looks at everything once: a few files of each container that has groups. */
export async function collect({ state: read, counts, starts, sleeps }: MetricsPorts): Promise<Measured> {
  const state = read();
  const containers = Object.entries(state.status.containers);
  const used = new Map<string, Counts>();
  for (const [index, [key, { pid }]] of containers.entries()) {
    if (pid !== null) used.set(key, counts(containerName(key)));
    if (index % stretch === stretch - 1) await turn();
  }
  const ofRuntime = runtimeFamilies(state, starts, sleeps);
  return {
    families: [...ofRuntime, ...containerFamilies(containers), ...usageFamilies(used)],
    counts: Object.fromEntries(used),
  };
}

function runtimeFamilies({ status, quarantine }: State, starts: number, sleeps: number): Family[] {
  const { generation, observedGeneration, converged, conditions, repositories, sleep, trial } = status;
  const ofRepositories = (value: (each: (typeof repositories)[string]) => number): Sample[] =>
    Object.entries(repositories).map(([repository, each]) => ({ labels: { repository }, value: value(each) }));
  return [
    {
      ...{ name: `${prefix}build`, type: 'info', help: 'The version of the runtime.' },
      samples: one(1, { version: runtimeVersion }),
    },
    gauge('generation', 'The generation of the document that is in force.', generation),
    gauge('observed_generation', 'The generation that the runtime has acted on.', observedGeneration),
    gauge('converged', 'Whether everything is as the document says.', converged ? 1 : 0),
    {
      ...{
        name: `${prefix}trial`,
        type: 'stateset',
        help: 'What a document on trial is, or how the last trial ended.',
      },
      samples: trialStates.map((state) => ({
        labels: { [`${prefix}trial`]: state },
        value: trial?.state === state ? 1 : 0,
      })),
    },
    gauge('quarantined', 'Documents and packages that have failed in a trial and are passed over.', quarantine.length),
    gauge('conditions', 'Conditions that keep the runtime from doing all that it should.', conditions.length),
    counter('reconciler_starts', 'Reconcilers that the launcher has started.', starts),
    counter('sleeps', 'Sleeps of the reconciler since the launcher began.', sleeps),
    {
      ...{ name: `${prefix}wakes_today`, type: 'gauge', help: 'Wakes of the reconciler on this day (UTC), by reason.' },
      samples: Object.entries(sleep.reasons).map(([reason, value]) => ({ labels: { reason }, value })),
    },
    {
      ...counter(
        'reconciler_storage_written_bytes',
        'What this reconciler has sent to storage since it was started (proc_pid_io(5)).',
        storageWritten(),
      ),
      unit: 'bytes',
    },
    {
      ...{ name: `${prefix}repository_packages`, type: 'gauge', help: 'Packages of a repository.' },
      samples: ofRepositories(({ packages }) => packages),
    },
    {
      ...{ name: `${prefix}repository_size_bytes`, type: 'gauge', unit: 'bytes', help: 'What they take.' },
      samples: ofRepositories(({ size }) => size),
    },
  ];
}

function containerFamilies(containers: readonly (readonly [string, ContainerStatus])[]): Family[] {
  const of = (value: (each: ContainerStatus) => number | null): Sample[] =>
    containers.flatMap(([container, each]) => {
      const found = value(each);
      return found === null ? [] : [{ labels: { container }, value: found }];
    });
  return [
    {
      ...{ name: `${prefix}container`, type: 'info', help: 'The version of a container, and where it is from.' },
      samples: containers.map(([container, { version, repository }]) => ({
        labels: { container, version: version ?? '', repository: repository ?? '' },
        value: 1,
      })),
    },
    {
      ...{ name: `${prefix}container_phase`, type: 'stateset', help: 'Which phase a container is in.' },
      samples: containers.flatMap(([container, { phase }]) =>
        phases.map((each) => ({
          labels: { container, [`${prefix}container_phase`]: each },
          value: each === phase ? 1 : 0,
        })),
      ),
    },
    {
      ...{ name: `${prefix}container_ready`, type: 'gauge', help: 'Whether a container is ready.' },
      samples: of(({ conditions }) => (conditions.some(isReady) ? 1 : 0)),
    },
    {
      ...{ name: `${prefix}container_time_to_ready_seconds`, type: 'gauge', unit: 'seconds' },
      help: 'From the start of the present run until it was ready.',
      samples: of(timeToReady),
    },
    {
      ...{ name: `${prefix}container_restarts`, type: 'counter', help: 'Restarts of a container in this boot.' },
      samples: of(({ restarts }) => restarts),
    },
    {
      ...{ name: `${prefix}container_last_exit_code`, type: 'gauge', help: 'The exit code of the last run.' },
      samples: of(({ lastExit }) => (lastExit !== null && 'code' in lastExit ? lastExit.code : null)),
    },
    {
      ...{ name: `${prefix}container_last_exit_signal`, type: 'gauge', help: 'The signal that ended the last run.' },
      samples: of(({ lastExit }) => (lastExit !== null && 'signal' in lastExit ? lastExit.signal : null)),
    },
    {
      ...{ name: `${prefix}container_start_time_seconds`, type: 'gauge', unit: 'seconds' },
      help: 'When the present phase began, in seconds since 1970.',
      samples: of(({ since }) => Date.parse(since) / 1000),
    },
  ];
}

function usageFamilies(used: ReadonlyMap<string, Counts>): Family[] {
  const of = (value: (each: Counts) => number | null): Sample[] =>
    [...used].flatMap(([container, each]) => {
      const found = value(each);
      return found === null ? [] : [{ labels: { container }, value: found }];
    });
  return [
    {
      ...{ name: `${prefix}container_cpu_seconds`, type: 'counter', unit: 'seconds' },
      help: 'Processor time of a container.',
      samples: of(({ cpuSeconds }) => cpuSeconds),
    },
    {
      ...{ name: `${prefix}container_memory_usage_bytes`, type: 'gauge', unit: 'bytes' },
      help: 'Memory of a container, page cache included.',
      samples: of(({ memoryBytes }) => memoryBytes),
    },
    {
      ...{ name: `${prefix}container_memory_limit_bytes`, type: 'gauge', unit: 'bytes' },
      help: 'What a container may have of it, where that is limited.',
      samples: of(({ memoryLimit }) => memoryLimit),
    },
    {
      ...{ name: `${prefix}container_oom_kills`, type: 'counter', help: 'Processes killed for want of memory.' },
      samples: of(({ oomKills }) => oomKills),
    },
    {
      ...{ name: `${prefix}container_read_bytes`, type: 'counter', unit: 'bytes' },
      help: 'What a container has read from block devices.',
      samples: of(({ readBytes }) => readBytes),
    },
    {
      ...{ name: `${prefix}container_written_bytes`, type: 'counter', unit: 'bytes' },
      help: 'What a container has written to block devices.',
      samples: of(({ writtenBytes }) => writtenBytes),
    },
  ];
}

const isReady = ({ type, status }: ContainerStatus['conditions'][number]): boolean =>
  type === 'Ready' && status === 'True';

function timeToReady({ phase, since, conditions }: ContainerStatus): number | null {
  const ready = conditions.find(isReady);
  if (phase !== 'Running' || ready === undefined) return null;
  return Math.max(0, (Date.parse(ready.lastTransition) - Date.parse(since)) / 1000);
}

function one(value: number, labels: Sample['labels'] = {}): Sample[] {
  return [{ labels, value }];
}

function gauge(name: string, help: string, value: number): Family {
  return { name: prefix + name, type: 'gauge', help, samples: one(value) };
}

function counter(name: string, help: string, value: number | null): Family {
  return { name: prefix + name, type: 'counter', help, samples: value === null ? [] : one(value) };
}

/** Null where the kernel does not count (CONFIG_TASK_IO_ACCOUNTING). */
function storageWritten(): number | null {
  try {
    const [, bytes] = /^write_bytes: (\d+)$/m.exec(readFileSync('/proc/self/io', 'utf8')) ?? [];
    return bytes === undefined ? null : Number(bytes);
  } catch (error) {
    return ifMissing(error);
  }
}
