// The package format of Northstar's older releases, as its reference describes it: each of its examples packs, loads and runs.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { probePackage } from '../../support/packages.ts';
import { lines, running, withDaemon } from '../../support/scenario.ts';

// What the reference shows of each field; below seccomp what this program needs besides.
const everything = `env:
  RUST_BACKTRACE: 1
autostart: true
cgroups:
  cpu:
    shares: 100
  memory:
    limit_in_bytes: 10000000
    swappiness: 0
seccomp:
  clone: 1
  mmap: arg2 in ~PROT_EXEC || arg2 in ~PROT_WRITE
  prctl: 1
  munmap: 1
  mprotect: arg2 in ~PROT_EXEC || arg2 in ~PROT_WRITE
  futex: 1
  openat: 1
  close: 1
  execve: 1
  clock_gettime: 1
  nanosleep: 1
  write: 1
mounts:
    /lib:
      host: /lib
    /lib64:
      host: /lib64
    /system:
      host: /system
capabilities:
  - cap_net_raw
suppl_groups:
  - inet
io:
  stdout:
    log:
      - DEBUG
      - hello
`;
const message = `mounts:
  /bin:
    resource: "ferris:0.0.1/"
  /lib64:
    host: /lib64
  /lib:
    host: /lib
  /system:
    host: /system
  /message:
    resource: "hello_message:0.0.1/"
`;

test('every example of the older reference packs, loads and runs, resources too', async () => {
  // Without an init a manifest has no arguments and no output.
  const resource = { version: '0.0.1', fields: 'init: null\nargs: null\nio: null\n' };
  const packages = await Promise.all([
    probePackage({ name: 'hello', version: '0.0.1', args: ['env', 'sleep'], fields: everything }),
    probePackage({
      name: 'ferris_says_hello',
      version: '0.0.1',
      args: ['cat', '/message/hello', 'sleep'],
      fields: `init: /bin/probe\n${message}`,
    }),
    probePackage({ name: 'ferris', ...resource }),
    probePackage({ name: 'hello_message', ...resource, files: { hello: 'hello from a resource\n' } }),
  ]);
  await withDaemon(packages, ['ferris_says_hello: { state: running }'], async (daemon) => {
    await running(daemon, 'hello:0.0.1');
    assert.ok((await lines(daemon, 'hello:0.0.1')).includes('RUST_BACKTRACE=1'));
    await running(daemon, 'ferris_says_hello');
    assert.deepEqual(await lines(daemon, 'ferris_says_hello'), ['hello from a resource']);
  });
});
