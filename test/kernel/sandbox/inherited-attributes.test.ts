// What a process has from its parent and no namespace takes away: a container's is defined, however the runtime was started.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { run } from '../../support/command.ts';
import { documentOf, startDaemon } from '../../support/test-daemon.ts';
import { probePackage } from '../../support/packages.ts';

/** Whoever lacks it lowers no score below what it once was. */
const CAP_SYS_RESOURCE = 1n << 24n;

/** How a unit may have its service started: nice, policy, processors, out-of-memory score, what a core dump holds, umask. */
const started = [
  ...['nice', '-n', '3', 'ionice', '-c', '3', 'chrt', '--batch', '0', 'taskset', '-c', '0', 'sh', '-c'],
  'echo 700 >/proc/self/oom_score_adj; echo 0x1 >/proc/self/coredump_filter; umask 077; exec "$@"',
  'sh',
];

interface Attributes {
  readonly nice: number;
  readonly policy: number;
  readonly processors: string;
  readonly io: string;
  readonly score: number;
  readonly coreFilter: string;
  readonly umask: string;
}

async function attributesOf(pid: number): Promise<Attributes> {
  const read = (file: string): Promise<string> => readFile(`/proc/${pid}/${file}`, 'utf8');
  const [stat, status, score, filter] = await Promise.all(
    ['stat', 'status', 'oom_score_adj', 'coredump_filter'].map(read),
  );
  // Fields of proc_pid_stat(5) behind the name, which may have anything in it: state is the third.
  const fields = stat!.slice(stat!.lastIndexOf(')') + 2).split(' ');
  const { stdout } = await run('ionice', ['-p', String(pid)]);
  const field = (name: string): string => new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(status!)?.[1] ?? '';
  return {
    nice: Number(fields[19 - 3]),
    policy: Number(fields[41 - 3]),
    processors: field('Cpus_allowed_list'),
    io: stdout.trim(),
    score: Number(score),
    coreFilter: filter!.trim(),
    umask: field('Umask'),
  };
}

test('a container inherits nothing of how the runtime was started; launcher and reconciler are killed last', async () => {
  const scored = { name: 'scored', fields: 'oom_score_adj: 300' };
  const packages = [await probePackage({ name: 'plain' }), await probePackage(scored)];
  const entries = 'plain: { version: 1.0.0, state: running }\nscored: { version: 1.0.0, state: running }';
  const document = (directory: string) => documentOf(directory, entries);
  await using daemon = await startDaemon({ packages, document, prefix: started });
  const { pid } = await daemon.untilContainer('plain', 'runs', ({ phase }) => phase === 'Running');
  const children = await readFile(`/proc/${pid!}/task/${pid!}/children`, 'utf8');
  const plain = { nice: 0, policy: 0, io: 'none: prio 0', score: 0, coreFilter: '00000033', umask: '0022' };
  const processors = /^Cpus_allowed_list:\s*(.*)$/m.exec(await readFile('/proc/1/status', 'utf8'))?.[1] ?? '';
  for (const each of [pid!, Number(children.trim())]) {
    assert.deepEqual(await attributesOf(each), { ...plain, processors });
  }
  const capabilities = /^CapEff:\s*(\w+)$/m.exec(await readFile('/proc/self/status', 'utf8'))?.[1] ?? '0';
  const protectedScore = (BigInt(`0x${capabilities}`) & CAP_SYS_RESOURCE) === 0n ? 700 : -900;
  const score = async (pid: number): Promise<number> => (await attributesOf(pid)).score;
  const { pid: manifests } = await daemon.untilContainer('scored', 'runs', ({ phase }) => phase === 'Running');
  assert.equal(await score(manifests!), 300);
  await daemon.write(document(`${daemon.directory}/packages`).replace(/scored: {/, 'scored: { oomScoreAdj: 900,'));
  const replaced = ({ phase, pid: now }: { phase: string; pid: number | null }): boolean =>
    phase === 'Running' && now !== manifests;
  const { pid: entrys } = await daemon.untilContainer('scored', 'is another', replaced);
  assert.equal(await score(entrys!), 900);
  for (const each of [daemon.pid, daemon.reconciler()!]) {
    assert.equal((await attributesOf(each)).score, protectedScore);
  }
});
