// The runtime on another kernel, Debian's, with what the host may not have: cgroup v2 with every controller, both versions
// side by side, and a controller that is missing. Each test is one boot; what fails in the guest is shown as it said it.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { launcherProgram } from '../launcher/launcher.ts';
import { probe } from '../packages.ts';
import { boot } from './boot.ts';
import { makeImage, type Image } from './image.ts';

const patience = 280_000;
const cgroups = 'test/kernel/cgroups.test.ts';
const limits = 'test/vm/guest/limits.ts';
const missing = 'test/vm/guest/missing.ts';
const launch = 'test/kernel/sandbox-ops.test.ts';
const mounts = 'test/kernel/mounts.test.ts';

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

let image: Image;

/** What a compiler makes is made on the host: the guest has none. */
before(async () => {
  launcherProgram();
  await probe();
  image = await makeImage([cgroups, limits, missing, launch, mounts]);
});

/** Runs files of tests in the guest. `setUp` are lines of shell before them. */
async function pass(files: readonly string[], parameters: string, setUp = ''): Promise<void> {
  const command = `${setUp}node --test --test-reporter=spec --test-concurrency=2 ${files.join(' ')}`;
  const { status, output } = await boot(image, command, patience, parameters);
  assert.equal(status, 0, `${status === null ? 'the guest was cut off or has crashed' : 'tests failed'}:\n${output}`);
}

test('containers and limits work on cgroup v2', () => pass([cgroups, limits, launch], 'cgroup_no_v1=all'));

test('each controller is found where it is when cgroup v1 and v2 are mounted side by side', () =>
  pass([cgroups, limits], '', mixed));

test('images are mounted, and a kernel without the memory controller runs what asks for no limit of memory', () =>
  pass([missing, mounts], 'cgroup_no_v1=all cgroup_disable=memory'));
