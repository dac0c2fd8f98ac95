// Contexts of a manifest on a kernel that enforces an SELinux policy. Runs in the guest.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { run } from '../../support/command.ts';
import { documentOf, startDaemon } from '../../support/test-daemon.ts';
import { probePackage } from '../../support/packages.ts';
import { running } from '../../support/scenario.ts';

/** Programs that the policy does not know run as before; it knows the contexts of the test. */
async function enforce(): Promise<void> {
  const mounted = await run('mount', ['-t', 'selinuxfs', 'selinuxfs', '/sys/fs/selinux']);
  assert.equal(mounted.code, 0, mounted.stderr);
  const compiled = await run('secilc', [
    ...['-M', 'false', '-o', '/tmp/policy', '-f', '/dev/null'],
    join(import.meta.dirname, 'policy.cil'),
  ]);
  assert.equal(compiled.code, 0, compiled.stderr);
  writeFileSync('/sys/fs/selinux/load', readFileSync('/tmp/policy'));
  writeFileSync('/sys/fs/selinux/enforce', '1');
}

test('an image and an application have the SELinux contexts of the manifest, and an unknown one is told', async () => {
  await enforce();
  const context = (type: string) => `user:role:${type}`;
  const labelled = (name: string, image: string, application: string) =>
    probePackage({ name, fields: `selinux: { mount_context: "${context(image)}", exec: "${context(application)}" }` });
  const packages = await Promise.all([
    labelled('labelled', 'image', 'application'),
    labelled('lost', 'image', 'nobody'),
    labelled('bad', 'nothing', 'application'),
    probePackage({ name: 'plain' }),
  ]);
  const entries = ['labelled', 'lost', 'bad', 'plain'].map((name) => `${name}: { state: running }`);
  await using daemon = await startDaemon({ packages, document: (directory) => documentOf(directory, ...entries) });

  const contexts = async (name: string): Promise<string[]> => {
    const init = (await running(daemon, name)).pid ?? 0;
    const application = readFileSync(`/proc/${init}/task/${init}/children`, 'utf8').trim();
    return [init, application].map((pid) =>
      readFileSync(`/proc/${pid}/attr/current`, 'utf8').replaceAll('\0', '').trim(),
    );
  };
  assert.deepEqual(await contexts('labelled'), [context('host'), context('application')]);
  assert.deepEqual(await contexts('plain'), [context('host'), context('host')]);
  const { pid } = await running(daemon, 'labelled');
  const [root = ''] = readFileSync(`/proc/${pid ?? 0}/mountinfo`, 'utf8').split('\n');
  assert.match(root, / squashfs .*context=user:role:image/);

  const failed = async (name: string): Promise<string> => {
    const { conditions } = await daemon.untilContainer(name, 'has failed', ({ phase }) => phase === 'Failed');
    return conditions.map(({ message }) => message).join('\n');
  };
  assert.match(await failed('lost'), /does not let lost:1\.0\.0 have the context user:role:nobody \(label: EINVAL\)/);
  assert.match(await failed('bad'), /the SELinux policy does not know user:role:nothing/);
  assert.equal(await daemon.stop(), 0, daemon.log());
});
