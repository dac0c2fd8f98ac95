import assert from 'node:assert/strict';
import { closeSync, readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { release } from 'node:os';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { detectHierarchies } from '../../../controllers/cgroups/cgroups-observe.ts';
import { SyscallError } from '../../../native/libc.ts';
import { favourMoves } from '../../../native/quick-moves.ts';
import { documentOf, startDaemon } from '../../support/test-daemon.ts';

const hierarchies = (): string => readFileSync('/proc/self/cgroup', 'utf8');

test('a hierarchy that favours moves is there as long as its descriptor is', async (t) => {
  const name = `northstate-test-${process.pid}`;
  let held: number;
  try {
    held = await favourMoves(name);
  } catch (error) {
    assert.ok(error instanceof SyscallError && error.code === 'EINVAL', String(error));
    assert.ok(Number(release().split('.')[0]) < 6, String(error));
    return t.skip('a kernel before Linux 6.0');
  }
  assert.match(hierarchies(), new RegExp(`:name=${name}:/$`, 'm'));
  assert.doesNotMatch(readFileSync('/proc/self/mountinfo', 'utf8'), new RegExp(name));
  closeSync(held);
  while (hierarchies().includes(name)) await delay(10);
});

test('the launcher holds one where there is cgroup v1, and no reconciler makes another', async (t) => {
  if (detectHierarchies().legacy.size === 0) return t.skip('no controller of cgroup v1');
  await using daemon = await startDaemon({
    packages: [],
    document: (dir) => documentOf(dir).replace(/containers:\n/, ''),
  });
  const own = (): number =>
    hierarchies()
      .split('\n')
      .filter((line) => line.endsWith(`:name=northstate-${daemon.pid}:/`)).length;
  // A reconciler that is killed before the launcher has the descriptor takes the hierarchy with it.
  while (heldMounts(daemon.pid) === 0) await delay(10);
  assert.equal(own(), 1);
  const before = daemon.reconciler();
  assert.ok(before !== null);
  process.kill(before, 'SIGKILL');
  while ([null, before].includes(daemon.reconciler())) await delay(10);
  await daemon.until('it is back', ({ converged }) => converged);
  assert.equal(own(), 1);
  await daemon.stop();
  while (own() > 0) await delay(10);
});

/** Descriptors of the process on mounts that are mounted nowhere: the number of those that its table of mounts does not name. */
function heldMounts(pid: number): number {
  const mounted = new Set(
    readFileSync(`/proc/${pid}/mountinfo`, 'utf8')
      .split('\n')
      .map((line) => line.split(' ', 1)[0]),
  );
  // The root of such a mount has this name; sockets, pipes and files in memory, whose mounts are in no table either, have others.
  return readdirSync(`/proc/${pid}/fd`).filter((descriptor) => {
    try {
      if (readlinkSync(`/proc/${pid}/fd/${descriptor}`) !== '/') return false;
      const info = readFileSync(`/proc/${pid}/fdinfo/${descriptor}`, 'utf8');
      return !mounted.has(/^mnt_id:\s*(\d+)$/m.exec(info)?.[1] ?? '');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
      throw error;
    }
  }).length;
}
