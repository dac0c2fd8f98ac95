import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { test, type TestContext } from 'node:test';
import { head, makePlace } from './document-fixture.ts';

const program = fileURLToPath(new URL('patch-forever.ts', import.meta.url));

/** Entries beside the one that is patched; with many of them generations are stored as patches. */
const filler = Array.from({ length: 12 }, (_, index) => `FILLER_${index}: ${'x'.repeat(1000)}`);
const besides = { 'a short document': '', 'a long document': `  b: { env: { ${filler.join(', ')} } }\n` };

for (const [what, beside] of Object.entries(besides))
  test(`${what}: a process that is killed at any moment loses no durable patch and leaves nothing broken`, (t) =>
    killedAgainAndAgain(t, beside));

async function killedAgainAndAgain(t: TestContext, beside: string): Promise<void> {
  const place = await makePlace(t, `${head}containers:\n  a: {} # mine\n${beside}...\n`);
  let earlier = 0;
  for (let round = 1; round <= 8; round++) {
    const child = spawn(process.execPath, [program, place.dir], { stdio: ['ignore', 'pipe', 'inherit'] });
    const durable: number[] = [];
    const enough = Promise.withResolvers<void>();
    const lines = createInterface({ input: child.stdout });
    lines.on('line', (line) => {
      durable.push(Number(line));
      // A little later than a patch, another little each round.
      if (durable.length === 3) setTimeout(enough.resolve, round * 1.3);
    });
    child.once('exit', enough.resolve);
    await enough.promise;
    child.kill('SIGKILL');
    await once(lines, 'close');
    const { documents, store } = await place.open();
    await documents.close();
    const run = store.get().desired.containers.get('a')?.run?.id ?? 0;
    const last = durable.at(-1) ?? 0;
    assert.ok(last > earlier && run >= last && run <= last + 1, `round ${round}: ${last} was durable, ${run} is there`);
    assert.equal(await place.read(), `${head}containers:\n  a: # mine\n    run: ${run}\n${beside}...\n`);
    assert.equal(store.get().document.status, 'ok');
    earlier = run;
  }
  const { documents } = await place.open();
  await (
    await documents.patch([{ op: 'add', path: '/containers/a/run', value: 0 }], { lifetime: 'document', origin: 'x' })
  ).durable;
  assert.deepEqual(await readdir(place.dir), ['desired.yaml', 'run', 'state']);
  const stored = await readdir(`${place.dir}/state/generations`);
  assert.deepEqual(
    stored.filter((name) => !/^\d{10}-(base|(file|console)(-of-\d{10})?)\.json$/.test(name)),
    [],
  );
  assert.equal(
    stored.some((name) => name.includes('-of-')),
    beside !== '',
  );
}
