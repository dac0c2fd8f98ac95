// Another runtime takes over under running containers: this build and one that differs, back and forth.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { connectConsole } from '../../../src/client/console-client.ts';
import { probePackage } from '../../support/packages.ts';
import { firstBuild, makeSecondBuild } from '../../support/second-build.ts';
import { killReconciler } from '../../support/successor.ts';
import { documentOf, startDaemon } from '../../support/test-daemon.ts';

const second = makeSecondBuild();
after(() => second[Symbol.dispose]());
const steady = await probePackage({ name: 'steady', args: ['print', '1', 'up', 'sleep'] });
const packages = [steady];
const document = (directory: string): string => documentOf(directory, 'steady: { state: running }');

test('containers, consoles and numbers stay while two builds take over from each other', async () => {
  await using daemon = await startDaemon({ packages, document });
  const { pid } = await daemon.untilContainer('steady', 'runs', ({ phase }) => phase === 'Running');
  const client = await connectConsole(daemon.console, { subscribe: true });
  const first = await client.call('get', null);
  for (const [index, { directory, version }] of [second, firstBuild, second, firstBuild].entries()) {
    const { code, stdout, stderr } = await daemon.run('reexec', '--to', directory);
    assert.equal(`${stderr}${stdout}`, `northstate ${version} has taken over\n`, daemon.log());
    assert.equal(code, 0);
    const { status } = await client.call('get', null);
    assert.equal(status.containers['steady']?.pid, pid, `takeover ${index}`);
    assert.equal(status.converged, true);
    if (index === 1) await killReconciler(daemon);
  }
  const last = await client.call('get', null);
  assert.equal(last.boot, first.boot);
  client.close();
  assert.equal(await daemon.stop(), 0);
});
