// Filters of system calls, as an application meets them.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { probePackage } from '../../support/packages.ts';
import { openBoxes } from '../../support/boxes.ts';
import { field } from '../../support/container-processes.ts';

const SIGSYS = 31;
const numbers =
  process.arch === 'arm64'
    ? { uname: 160, getppid: 173, pivot_root: 41, reboot: 142, clone3: 435, mmap: 222 }
    : { uname: 63, getppid: 110, pivot_root: 155, reboot: 169, clone3: 435, mmap: 9 };
const boxes = await openBoxes();
after(() => boxes[Symbol.asyncDispose]());

function filtered(name: string, seccomp: string, fields = ''): Promise<string> {
  return probePackage({ name, fields: `seccomp: ${seccomp}\nmounts: { /proc: { type: proc } }\n${fields}` });
}

/** Ends with 0 when the call was let in, whatever it answered. */
async function callOf(box: string, call: keyof typeof numbers): Promise<object | null> {
  const { exit, stdout } = await boxes.run({ package: box, args: ['syscall', String(numbers[call]), 'exit', '0'] });
  return exit !== null && 'code' in exit ? { ...exit, stdout } : exit;
}

test('leaves a container without a seccomp section unfiltered', async () => {
  const app = await probePackage({ name: 'unfiltered', fields: 'mounts: { /proc: { type: proc } }' });
  assert.equal(field((await boxes.run({ package: app, args: ['cat', '/proc/self/status'] })).stdout, 'Seccomp'), '0');
});

test('runs an application under the default profile', async () => {
  const app = await filtered('profile', '{ profile: default }');
  assert.equal(field((await boxes.run({ package: app, args: ['cat', '/proc/self/status'] })).stdout, 'Seccomp'), '2');
  assert.deepEqual((await boxes.run({ package: app, args: ['orphans', '2', 'exit', '5'] })).exit, { code: 5 });
});

test('kills for a call that is not in the profile', async () => {
  const app = await filtered('profile', '{ profile: default }');
  assert.deepEqual(await callOf(app, 'pivot_root'), { signal: SIGSYS });
  assert.deepEqual(await callOf(app, 'reboot'), { signal: SIGSYS });
});

test('answers clone3 with ENOSYS, so that C libraries fall back to clone', async () => {
  assert.deepEqual(await callOf(await filtered('profile', '{ profile: default }'), 'clone3'), {
    code: 0,
    stdout: '-38\n',
  });
});

test('answers what is newer than the profile with ENOSYS, unless the manifest allows it', async () => {
  const app = await filtered('profile', '{ profile: default }');
  const said = async (number: number) => boxes.run({ package: app, args: ['syscall', String(number), 'exit', '0'] });
  // cachestat, fchmodat2, mseal, and one that nobody has given out.
  for (const number of [451, 452, 462, 1000]) {
    const { exit, stdout } = await said(number);
    assert.deepEqual([exit, stdout], [{ code: 0 }, '-38\n']);
  }
  // add_key has the number 248 on x86_64 and 217 on aarch64: it exists and is not allowed.
  assert.deepEqual((await said(process.arch === 'arm64' ? 217 : 248)).exit, { signal: SIGSYS });
  const sealing = await filtered('sealing', '{ profile: default, allow: { mseal: any } }');
  const { exit, stdout } = await boxes.run({ package: sealing, args: ['call', '462', '1', '4096', '0', 'exit', '0'] });
  // The kernel itself answers: EINVAL for an address that is not aligned, or ENOSYS where it is older.
  assert.deepEqual(exit, { code: 0 });
  assert.match(stdout, /^-(?:22|38)\n$/);
});

test('lets in what a capability needs', async () => {
  const app = await filtered('booting', '{ profile: default }', 'capabilities: [CAP_SYS_BOOT]');
  assert.deepEqual(await callOf(app, 'reboot'), { code: 0, stdout: '-22\n' });
});

test('lets in what the manifest allows beside the profile', async () => {
  const app = await filtered('allowing', '{ profile: default, allow: { reboot: any } }');
  assert.deepEqual(await callOf(app, 'reboot'), { code: 0, stdout: '-1\n' });
});

test('starts with an allow list alone, which need not name the exec of the start', async () => {
  const app = await filtered('list', '{ allow: { clock_gettime: any, getppid: any, write: any, exit_group: any } }');
  assert.deepEqual(await callOf(app, 'getppid'), { code: 0, stdout: '1\n' });
  assert.deepEqual(await callOf(app, 'uname'), { signal: SIGSYS });
});

test('looks at the arguments of a call', async () => {
  const list = (rule: string) => `{ allow: { exit_group: !args ${rule}, clock_gettime: any } }`;
  const exit = async (app: string, code: number) =>
    (await boxes.run({ package: app, args: ['exit', String(code)] })).exit;
  const values = await filtered('values', list('{ index: 0, values: [3, 7] }'));
  assert.deepEqual(await exit(values, 3), { code: 3 });
  assert.deepEqual(await exit(values, 7), { code: 7 });
  assert.deepEqual(await exit(values, 4), { signal: SIGSYS });
  const mask = await filtered('mask', list('{ index: 0, mask: 6 }'));
  assert.deepEqual(await exit(mask, 0), { code: 0 });
  assert.deepEqual(await exit(mask, 6), { code: 6 });
  assert.deepEqual(await exit(mask, 5), { signal: SIGSYS });
});

test('lets a call in when any of its alternatives holds', async () => {
  const calls = 'mmap: arg2 in ~PROT_EXEC || arg2 in ~PROT_WRITE, write: 1, clock_gettime: 1, exit_group: 1';
  const app = await probePackage({ name: 'alternatives', fields: `seccomp: { ${calls} }\n` });
  const protectedBy = async (protection: number) => {
    const args = ['call', String(numbers.mmap), '0', '4096', String(protection), 'exit', '0'];
    return (await boxes.run({ package: app, args })).exit;
  };
  // PROT_READ 1, PROT_WRITE 2, PROT_EXEC 4
  for (const protection of [0, 3, 5]) assert.deepEqual(await protectedBy(protection), { code: 0 });
  for (const protection of [6, 7]) assert.deepEqual(await protectedBy(protection), { signal: SIGSYS });
});
