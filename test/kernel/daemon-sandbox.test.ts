// What the status says of sandboxes that cannot be quite what the manifest asks for.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ContainerStatus } from '../../state/status.ts';
import { probePackage } from '../packages.ts';
import { running, withDaemon } from '../scenario.ts';

const condition = ({ conditions }: ContainerStatus, type: string) => conditions.find((each) => each.type === type);

test('the status says what a container runs without, and why another cannot run', async () => {
  const partial = await probePackage({
    name: 'partial',
    fields: 'suppl_groups: [daemon, no-such-group]\nmounts: { /host: { type: bind, host: /no/such/path } }',
  });
  const rlimits = 'rlimits: { core: { soft: 0, hard: 0 }, nofile: { soft: 64, hard: 1099511627776 } }';
  const beyond = await probePackage({ name: 'beyond', fields: rlimits });
  const entries = ['partial', 'beyond'].map((name) => `${name}: { version: 1.0.0, state: running }`);
  await withDaemon([partial, beyond], entries, async (daemon) => {
    const degraded = condition(await running(daemon, 'partial'), 'Degraded');
    assert.deepEqual(
      [degraded?.status, degraded?.reason, degraded?.message],
      [
        'True',
        'MissingOnHost',
        '/no/such/path, which is to be mounted on /host, is not on the host; the host has no group no-such-group',
      ],
    );
    const failed = await daemon.untilContainer('beyond', 'has failed', ({ phase }) => phase === 'Failed');
    const ready = condition(failed, 'Ready');
    assert.equal(ready?.reason, 'StartFailed');
    assert.match(
      ready.message,
      /^beyond:1\.0\.0 cannot have the resource limit nofile 1099511627776: .+ \(rlimit: EPERM\)$/,
    );
    assert.equal(failed.restarts, 0);
  });
});
