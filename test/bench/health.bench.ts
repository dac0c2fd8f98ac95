// bench/health: 200 containers that are asked every second whether they are alive: what one probe takes of the processor, how
// often the reconciler is woken for it, what the prober weighs. The floor of exec is a C program that enters the same namespaces and
// executes the same program, with a pause between two, as probes have.
import { readFileSync } from 'node:fs';
import { setTimeout as pass } from 'node:timers/promises';
import { asleep, statusOf } from '../support/sleeper.ts';
import { probePackage } from '../support/packages.ts';
import { documentOf, startDaemon, type Daemon } from '../support/test-daemon.ts';
import { joinFloor } from './join-floor.ts';
import { row, type Row } from './measure.ts';
import { familyOf, rollupOf } from './process-memory.ts';

const count = 200;
/** How long each kind is looked at, in ms. */
const window = 10_000;
/** ms in one tick of /proc/PID/stat. */
const tick = 10;

const kinds = {
  tcp: 'tcp: "127.0.0.1:8080"',
  http: 'http: "http://127.0.0.1:8080/"',
  exec: 'exec: [/probe, print, "1", x]',
} as const;

export async function* bench(): AsyncGenerator<Row> {
  const fields = `init: /bin/busybox
args: [httpd, -f, -p, "127.0.0.1:8080", -h, /www]
mounts: { /bin: { type: bind, host: /bin } }
`;
  const files = { 'www/index.html': 'well\n' };
  const packages: string[] = [];
  for (let i = 0; i < count; i++) packages.push(await probePackage({ name: `c-${i}`, fields, files }));
  const entries = (health: string): string[] =>
    Array.from({ length: count }, (_, i) => `c-${i}: { state: running, settle: 0s${health} }`);
  await using daemon = await startDaemon({
    packages,
    document: (directory) => documentOf(directory, ...entries('')),
    configuration: 'sleep: { after: 500ms }\n',
    asOnDevice: true,
  });
  await daemon.until('everything runs', ({ converged }) => converged);
  daemon.unwatch();
  for (const [kind, probe] of Object.entries(kinds)) {
    await daemon.write(documentOf(daemon.repository, ...entries(`, health: { alive: { ${probe}, every: 1s } }`)));
    await pass(1000);
    // The first turns of all are over.
    await pass(3000);
    const before = (await statusOf(daemon)).sleep.today;
    await asleep(daemon);
    const prober = proberOf(daemon);
    const begun = spent(prober);
    const from = performance.now();
    await pass(window);
    const probes = (count * (performance.now() - from)) / 1000;
    yield row(
      'health',
      `${kind}: processor time of a probe`,
      'us',
      [((spent(prober) - begun) * 1000) / probes],
      `${kind}: floor`,
    );
    const status = await statusOf(daemon);
    const pid = status.containers['c-0']?.pid ?? 0;
    if (kind === 'exec')
      yield row(
        'health',
        'exec: floor',
        'us',
        (await joinFloor(pid, 200)).processor.map((ms) => ms * 1000),
      );
    // The question itself is one.
    yield row('health', `${kind}: wakes of the reconciler`, 'wakes', [status.sleep.today - before - 1]);
    const restarts = Object.values(status.containers).reduce((sum, container) => sum + container.restarts, 0);
    if (restarts > 0) throw new Error(`${restarts} containers were restarted: their probes have found them wanting`);
    yield row('health', `${kind}: the prober, Pss`, 'KiB', [rollupOf(prober)?.Pss ?? NaN]);
  }
}

function proberOf(daemon: Daemon): number {
  const named = (pid: number): boolean => {
    const path = `/proc/${pid}/comm`;
    try {
      return readFileSync(path, 'utf8').startsWith('northstate: pro');
    } catch {
      return false; // it has just ended
    }
  };
  const found = familyOf(daemon.pid).find(named);
  if (found === undefined) throw new Error('nobody asks');
  return found;
}

/** ms of the processor that a process, to the nanosecond, and its ended children have taken. */
function spent(pid: number): number {
  const [own] = readFileSync(`/proc/${pid}/schedstat`, 'latin1').split(' ');
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
    .replace(/^.*\) /, '')
    .split(' ')
    .slice(13, 15);
  return fields.reduce((sum, ticks) => sum + Number(ticks) * tick, Number(own) / 1e6);
}
