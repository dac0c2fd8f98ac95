// A mount namespace for one test file: mounts in it are seen by no other process, and no copy of them is made by one that
// takes a namespace of its own at the same time (it would keep the loop devices until it ends).
import { execPath, argv, env, execArgv, execve } from 'node:process';

const mark = 'NORTHSTATE_TEST_NAMESPACE';

/** To be called first in a test file: runs it again in a private mount namespace (unshare(1)), unless it already is in one. */
export function enterMountNamespace(): void {
  if (env[mark] !== undefined || execve === undefined) return;
  const [, file = ''] = argv;
  const command = ['env', 'unshare', '--mount', '--propagation', 'private', execPath, ...execArgv, file];
  execve('/bin/env', command, { ...env, [mark]: '1' });
}
