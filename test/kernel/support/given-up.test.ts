// Whoever is ended before it could dispose of anything, as a benchmark by two signals at once, leaves nothing either.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { leftovers, openDescriptors } from '../../support/leaks.ts';
import { probePackage } from '../../support/packages.ts';

const file = await probePackage({ name: 'app', fields: 'cgroups: { memory: { memory_hard_limit: 50000000 } }\n' });
const folder = (path: string): string => JSON.stringify(join(import.meta.dirname, '../..', path));

const program = `
import { basename } from 'node:path';
import { endOnSignals } from ${folder('bench/end-on-signals.ts')};
import { mountedImage } from ${folder('bench/mounted.ts')};
import { documentOf, startDaemon } from ${folder('support/test-daemon.ts')};
endOnSignals();
const file = ${JSON.stringify(file)};
await using image = await mountedImage(file);
const document = (packages) => documentOf(packages, 'app: { state: running }');
await using daemon = await startDaemon({ packages: [file], document, asOnDevice: true });
await daemon.untilContainer('app', 'runs', ({ phase }) => phase === 'Running');
console.log(JSON.stringify([basename(image.path), daemon.mark]));
await new Promise(() => setInterval(() => undefined, 1000));
`;

test('a benchmark that two signals end at once leaves no mount, group or process', async () => {
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  const [said] = (await once(child.stdout.setEncoding('utf8'), 'data')) as [string];
  const marks = JSON.parse(said) as [string, string];
  child.kill('SIGINT');
  child.kill('SIGTERM');
  const [code] = (await exited) as [number | null];
  assert.ok(code === 130 || code === 143, `it ended with ${code}`);
  const none = openDescriptors();
  for (const mark of marks) assert.deepEqual(await leftovers(mark, none), []);
});
