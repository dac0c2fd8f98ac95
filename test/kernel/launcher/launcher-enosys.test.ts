// The launcher on a kernel that lacks what it needs.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { syscallNumber } from '../../../native/numbers.ts';
import { run } from '../../support/command.ts';
import { launcherProgram } from '../../support/test-launcher.ts';
import { withoutSyscall } from '../../support/packages.ts';

/** Calls that Linux 5.10 has, and that something around the runtime may take away all the same. */
const needed = {
  clone3: 435,
  close_range: 436,
  execveat: syscallNumber('execveat', { x64: 322, arm64: 281 }),
  fsconfig: 431,
  fsmount: 432,
  fsopen: 430,
  memfd_create: syscallNumber('memfd_create', { x64: 319, arm64: 279 }),
  move_mount: 429,
  open_tree: 428,
  openat2: 437,
  pidfd_open: 434,
  pidfd_send_signal: 424,
  seccomp: syscallNumber('seccomp', { x64: 317, arm64: 277 }),
  statx: syscallNumber('statx', { x64: 332, arm64: 291 }),
};

test('names the system call that it needs and does not find, before it makes anything', async () => {
  const directory = join(tmpdir(), `northstate-enosys-${process.pid}`);
  const launcher = [launcherProgram(), '--state-dir', directory, '--run-dir', directory, '--', '/bin/true'];
  for (const [call, number] of Object.entries(needed)) {
    const [command = '', ...prefix] = await withoutSyscall(number);
    const { code, stderr } = await run(command, [...prefix, ...launcher]);
    assert.equal(
      stderr,
      `northstate: the system call ${call} is needed: this kernel lacks it, or a seccomp filter around us forbids it\n`,
    );
    assert.equal(code, 1);
  }
  assert.equal(existsSync(directory), false);
});
