// The runtime on another kernel, Debian's, with what the host may not have: cgroup v2 with every controller, both versions
// side by side, a controller that is missing, and a power that goes. Each test is a machine or several, one after the
// other; two tests run at a time. What fails in the guest is shown as it said it.
import assert from 'node:assert/strict';
import { before, suite, test } from 'node:test';
import { boot } from './boot.ts';
import { prepareGuest, type Guest } from './guest.ts';
import { cutPower } from './power.ts';

/** Files of tests for the guest; each runs in the boots below that name it. */
const cgroups = 'test/kernel/cgroups/cgroups.test.ts';
const check = 'test/kernel/check/check.test.ts';
const blocks = 'test/kernel/cgroups/cgroups-limits.test.ts';
const freeze = 'test/kernel/cgroups/cgroups-freeze.test.ts';
const limits = 'test/vm/guest/limits-guest.ts';
const missing = 'test/vm/guest/missing.ts';
const launch = 'test/kernel/sandbox/sandbox-ops.test.ts';
const mounts = 'test/kernel/mounts/mounts.test.ts';
const verity = 'test/vm/guest/verity-guest.ts';
const selinux = 'test/vm/guest/selinux-guest.ts';
const clock = 'test/vm/guest/clock-guest.ts';
const plan = 'test/vm/guest/plan-guest.ts';
const boots = 'test/kernel/daemon/boot-plan.test.ts';

/** Some controllers in v1 hierarchies, as an older init system mounts them; the v2 tree keeps the others. */
const mixed = `
umount /sys/fs/cgroup
mount -t tmpfs tmpfs /sys/fs/cgroup
mkdir /sys/fs/cgroup/unified /sys/fs/cgroup/memory /sys/fs/cgroup/cpuset
mount -t cgroup -o memory cgroup /sys/fs/cgroup/memory
mount -t cgroup -o cpuset cgroup /sys/fs/cgroup/cpuset
mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified
grep -q cpu /sys/fs/cgroup/unified/cgroup.controllers || exit 1
`;

/** The longest that a machine may take, ms: far more than it does, since others may be at work beside it. */
const patience = 500_000;
/** A number that gives others than the run before: a run that fails says which, and power-cuts.ts repeats it. */
const seed = Math.trunc(Date.now() / 1000) % 1_000_000;

await suite('another kernel', { concurrency: 2 }, () => {
  let guest: Guest;
  before(async () => {
    guest = await prepareGuest([
      cgroups,
      blocks,
      check,
      freeze,
      limits,
      missing,
      launch,
      mounts,
      verity,
      selinux,
      clock,
      plan,
      boots,
    ]);
  });

  /** Runs files of tests in the guest. `setUp` are lines of shell before them. */
  async function pass(files: readonly string[], parameters: string, setUp = ''): Promise<void> {
    const command = `${setUp}node --test --test-reporter=spec --test-concurrency=1 ${files.join(' ')}`;
    const { status, output } = await boot(guest.image, command, patience, { parameters });
    assert.equal(status, 0, `${status === null ? 'the guest was cut off or has crashed' : 'tests failed'}:\n${output}`);
  }

  test('what was acknowledged survives every power cut, and nothing is half', async () => {
    const lines: string[] = [`node test/vm/power-cuts.ts --rounds 4 --seed ${seed} repeats it`];
    try {
      await cutPower({ ...guest, rounds: 4, seed, log: (line) => void lines.push(line) });
    } catch (error) {
      throw new Error(lines.join('\n'), { cause: error });
    }
  });

  test('containers and limits work on cgroup v2', () =>
    pass([cgroups, blocks, freeze, limits, launch, check], 'cgroup_no_v1=all'));

  test('each controller is found where it is when cgroup v1 and v2 are mounted side by side', () =>
    pass([cgroups, blocks, freeze, limits, check], '', mixed));

  test('images are mounted, and a kernel without the memory controller runs what asks for no limit of memory', () =>
    pass([missing, mounts, clock], 'cgroup_no_v1=all cgroup_disable=memory'));

  test('images and applications have the SELinux contexts of their manifests', () =>
    pass([selinux], 'cgroup_no_v1=all security=selinux'));

  test('a device mapper checks images block by block, what it finds is told, and a boot plan maps them', () =>
    pass([verity, plan, boots], 'cgroup_no_v1=all'));
});
