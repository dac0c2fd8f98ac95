import assert from 'node:assert/strict';
import { appendFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { BLIND_LOOK, watchNames } from '../../../state/file/names-watch.ts';
import { inject } from '../../support/inject.ts';

async function scratch(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'northstate-names-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

test('a directory that is not there is an error', async (t) => {
  const directory = join(await scratch(t), 'missing');
  const events = { changed: () => undefined, unknown: () => undefined, blind: () => undefined };
  assert.throws(() => watchNames(directory, events), { code: 'ENOENT' });
});

test('where others write without end each of them is told no more, and what matters is noticed all the same', async (t) => {
  const directory = await scratch(t);
  const wanted = 'wanted';
  let looks = 0;
  let told: () => void = () => undefined;
  const watching = watchNames(directory, {
    changed: () => told(),
    unknown() {
      looks += 1;
      told();
    },
    blind: (why) => assert.equal(why, null),
    names: () => new Set([wanted]),
  });
  t.after(() => watching.close());
  const others = [join(directory, 'log'), join(directory, 'other')];
  const looked = new Promise<void>((resolve) => (told = resolve));
  // By turns: the kernel tells of the same event again only once.
  for (let count = 0; count < 400; count++) for (const path of others) appendFileSync(path, 'line');
  await looked;
  assert.equal(looks, 1);
  const noticed = new Promise<void>((resolve) => (told = resolve));
  await writeFile(join(directory, wanted), '');
  await noticed;
});

for (const [error, calls] of [
  ['ENOSPC', 'inotify_add_watch'],
  ['EMFILE', 'inotify_add_watch'],
] as const) {
  test(`with ${error} from ${calls} it says so, looks by a timer, and is told again`, async (t) => {
    const directory = await scratch(t);
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const seen: string[] = [];
    let told: () => void = () => undefined;
    const note = (what: string): void => {
      seen.push(what);
      told();
    };
    const watching = await (async () => {
      await using _fault = await inject(process.pid, { calls, error });
      const made = watchNames(directory, {
        changed: (name) => note(name),
        unknown: () => note('unknown'),
        blind: (why) => note(why === null ? 'sees' : (/^(\w+):.* every 10 s/.exec(why)?.[1] ?? why)),
      });
      t.mock.timers.tick(BLIND_LOOK);
      return made;
    })();
    t.after(() => watching.close());
    assert.deepEqual(seen, [error, error, 'unknown']);
    t.mock.timers.tick(BLIND_LOOK);
    assert.deepEqual(seen.slice(3), ['sees', 'unknown']);
    const noticed = new Promise<void>((resolve) => (told = resolve));
    await writeFile(join(directory, 'new'), '');
    await noticed;
    assert.equal(seen.at(-1), 'new');
  });
}
