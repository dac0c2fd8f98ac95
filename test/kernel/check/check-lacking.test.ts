import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Feature } from '../../../src/check/feature.ts';
import { northstate, run } from '../../support/command.ts';
import { withoutSyscall } from '../../support/packages.ts';

async function lacking(command: readonly string[]): Promise<{ code: number | null; missing: string[] }> {
  const { code, stdout } = await run('env', [...command, northstate, 'check', '-o', 'json']);
  const { features } = JSON.parse(stdout) as { features: readonly Feature[] };
  const missing = features.filter(({ required, presence }) => required && presence === 'absent');
  return { code, missing: missing.map(({ name }) => name) };
}

test('a host that lacks a system call is told apart by its exit code, and the call is named', async () => {
  const pidfdOpen = 434;
  assert.deepEqual(await lacking(await withoutSyscall(pidfdOpen)), { code: 1, missing: ['pidfd_open'] });
});

test('a system call that has a substitute is not missed', async () => {
  const mountSetattr = 442;
  assert.deepEqual(await lacking(await withoutSyscall(mountSetattr)), { code: 0, missing: [] });
});

test('a process without rights is told which capabilities it lacks', async () => {
  const nobody = ['setpriv', '--bounding-set=-sys_admin', '--inh-caps=-sys_admin'];
  assert.deepEqual(await lacking(nobody), { code: 1, missing: ['capabilities of root'] });
});
