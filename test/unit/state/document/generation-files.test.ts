// Generations in files, whole and as patches: what is read is what was stored, whichever form it has.
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import fc from 'fast-check';
import { generationFiles, type GenerationFiles } from '../../../../state/document/generation-files.ts';
import type { Generation } from '../../../../state/document/generation.ts';
import { parseDocument } from '../../../../state/document/parse-document.ts';

const always = { least: 0, longest: 1 << 20, part: 1, announced: () => Promise.resolve(true) };

async function scratch(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'northstate-generations-'));
  t.after(() => rm(directory, { recursive: true }));
  return directory;
}

function generation(number: number, text: string, more: Partial<Generation> = {}): Generation {
  const parsed = parseDocument(text);
  assert.ok(parsed.ok, text);
  const { tree, desired, endMark } = parsed;
  const times = { time: 1000 * number, since: 1000 * number };
  const made = { origin: 'test', schema: 'northstate/v1', runtime: '1.0.0', besides: null, signature: null };
  const rest = { forced: false, trial: null, lock: new Map(), tree, desired, endMark };
  return { generation: number, kind: 'console', text, ...times, ...made, ...rest, ...more };
}

function documentOf(names: readonly string[], level: (name: string) => string = () => '1'): string {
  const lines = names.map((name) => `  ${name}: { state: mounted, env: { LEVEL: "${level(name)}" } }\n`);
  return `apiVersion: northstate/v1\ncontainers:\n${lines.join('')}${names.length === 0 ? '  {}\n' : ''}...\n`;
}

async function store(files: GenerationFiles, made: Generation): Promise<void> {
  await (await files.prepare(made)).commit();
}

/** The keys of a map do not count for deepEqual(), and are what is shown first. */
function inOrder({ desired, tree, lock }: Generation): unknown {
  const sections = [desired.containers, desired.repositories, tree as Map<string, unknown>, lock];
  return sections.map((map) => [...map.keys()]);
}

const names = fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'), { maxLength: 6 });
const change = fc.record({ names, level: fc.constantFrom('1', '2', 'ü', '\u{1f40b}'), locked: names });

test('what is read is what was stored, whatever was changed and in whatever order', async (t) => {
  const directory = await scratch(t);
  let run = 0;
  const property = fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 6 }), async (changes) => {
    const place = join(directory, String(++run));
    const files = generationFiles(place, false, always);
    await files.list();
    const made = changes.map(({ names: all, level, locked }, index) =>
      generation(
        index + 1,
        documentOf(all, (name) => (name < 'd' ? level : '1')),
        {
          lock: new Map(locked.map((key) => [key, { version: level, repository: 'r', digest: null }])),
        },
      ),
    );
    for (const one of made) await store(files, one);
    const next = generationFiles(place, false, always);
    const stored = await next.list();
    assert.deepEqual(
      stored.map((one) => one.generation),
      made.map((one) => one.generation),
    );
    for (const [index, one] of stored.entries()) {
      const found = await next.read(one);
      assert.deepEqual(found, made[index]);
      assert.deepEqual(inOrder(found), made[index] && inOrder(made[index]));
      assert.equal((await next.summary(one)).time, found.time);
    }
  });
  await fc.assert(property, { numRuns: 100 });
});

const many = Array.from({ length: 500 }, (_, index) => `container-${index}`);

test('beside 500 containers a change costs what it says, and what has changed much is stored whole', async (t) => {
  const directory = await scratch(t);
  const files = generationFiles(directory, false, { ...always, least: 32 << 10, longest: 8 << 10, part: 16 });
  const sizeOf = async (number: number): Promise<number> => {
    const [name = ''] = (await readdir(directory)).filter((each) => each.startsWith(`00000000${number}`));
    return (await stat(join(directory, name))).size;
  };
  await store(files, generation(10, documentOf(many)));
  await store(
    files,
    generation(
      11,
      documentOf(many, (name) => (name === 'container-250' ? '2' : '1')),
    ),
  );
  await store(
    files,
    generation(
      12,
      documentOf(many, (name) => (name < 'container-3' ? '2' : '1')),
    ),
  );
  await store(
    files,
    generation(
      13,
      documentOf([...many, 'another'], (name) => (name < 'container-3' ? '2' : '1')),
    ),
  );
  const [whole, one, all, after] = [await sizeOf(10), await sizeOf(11), await sizeOf(12), await sizeOf(13)];
  assert.ok(whole > 200_000 && all > 200_000, `${whole}, ${all}`);
  assert.ok(one < 3000 && after < 3000, `${one}, ${after}`);
  assert.deepEqual(
    (await files.list()).map(({ of }) => of),
    [null, 10, null, 12],
  );
});

test('a whole one stays as long as patches are of it, and is none of the history any more', async (t) => {
  const directory = await scratch(t);
  const files = generationFiles(directory, false, always);
  for (const number of [1, 2, 3])
    await store(
      files,
      generation(
        number,
        documentOf(['a'], () => String(number)),
      ),
    );
  const [first, second, third] = await files.list();
  assert.ok(first !== undefined && second !== undefined && third !== undefined);
  await files.remove(first);
  assert.deepEqual((await readdir(directory)).toSorted(), [
    '0000000001-base.json',
    '0000000002-console-of-0000000001.json',
    '0000000003-console-of-0000000001.json',
  ]);
  const next = generationFiles(directory, false, always);
  assert.deepEqual(await next.list(), [second, third]);
  assert.match((await next.read(third)).text, /LEVEL: "3"/);
  // It goes on from the one that is kept.
  await store(
    next,
    generation(
      4,
      documentOf(['a'], () => '4'),
    ),
  );
  assert.equal((await next.list()).at(-1)?.of, 1);
  for (const one of await next.list()) await next.remove(one);
  assert.deepEqual(await readdir(directory), []);
});

/** A whole one, and a patch of it. */
async function storeTwo(files: GenerationFiles): Promise<void> {
  for (const number of [1, 2]) {
    const document = documentOf(['a'], () => String(number));
    await store(files, generation(number, document));
  }
}

test('a patch without its whole one, or beside another, is no generation; what follows is stored whole', async (t) => {
  const directory = await scratch(t);
  const files = generationFiles(directory, false, always);
  await storeTwo(files);
  const whole = join(directory, '0000000001-console.json');
  const text = await readFile(whole, 'utf8');
  const [, patch] = await files.list();
  assert.ok(patch !== undefined);
  const read = () => generationFiles(directory, false, always).read(patch);
  const breaks: [string, RegExp][] = [
    [text.slice(0, 200), /JSON/],
    [text.replace('"time":1000', '"time":1001'), /another generation 1 than is stored/],
    [text.replace('LEVEL', 'LEVER'), /another hash/],
  ];
  for (const [broken, why] of breaks) {
    await writeFile(whole, broken);
    await assert.rejects(read(), why);
  }
  await rm(whole);
  await assert.rejects(read(), { code: 'ENOENT' });
  await assert.rejects(generationFiles(directory, false, always).summary(patch), /generation 1.* is missing/);
  await store(files, generation(3, documentOf(['a'])));
  assert.deepEqual((await files.list()).at(-1), { generation: 3, kind: 'console', of: null });
});

test('a patch that somebody has made up is refused, and ends nothing', async (t) => {
  const directory = await scratch(t);
  const files = generationFiles(directory, false, always);
  await storeTwo(files);
  const [, patch] = await files.list();
  assert.ok(patch !== undefined);
  const path = files.path(patch);
  const good = JSON.parse(await readFile(path, 'utf8')) as { desired: { containers: unknown }; of: object };
  const { containers } = good.desired;
  const withEntries = (set: unknown[]) => ({ ...good, desired: { ...good.desired, containers: { gone: [], set } } });
  const wrong: [unknown, RegExp][] = [
    [withEntries([['b', {}, 'c']]), /adds b after what is not there|undefined/],
    [withEntries([['b', (containers as { set: [string, unknown][] }).set[0]?.[1]]]), /changes b, which is not there/],
    // Each after the other, without an end.
    [withEntries([['b', (containers as { set: [string, unknown][] }).set[0]?.[1], 'b']]), /adds b after/],
    [{ ...good, text: [0, 0, 'more'] }, /another hash/],
    [{ ...good, of: { ...good.of, hash: '' } }, /another generation 1/],
    [{}, /undefined|not an object/],
  ];
  for (const [content, why] of wrong) {
    await writeFile(path, JSON.stringify(content));
    await assert.rejects(files.read(patch), why);
  }
});

test('what others could not read is stored whole', async (t) => {
  const directory = await scratch(t);
  const asked: number[] = [];
  const announced = () => Promise.resolve(asked.push(0) > 1);
  const files = generationFiles(directory, false, { ...always, announced });
  const made = (number: number, more: Partial<Generation> = {}) =>
    generation(
      number,
      documentOf(['a'], () => String(number)),
      more,
    );
  for (const number of [1, 2, 3, 4]) await store(files, made(number));
  await store(files, made(5, { runtime: '2.0.0' }));
  // Nobody was told at first; the next one was another version's.
  assert.deepEqual(
    (await files.list()).map(({ of }) => of),
    [null, null, 2, 2, null],
  );
  assert.equal(asked.length, 2);
  const never = generationFiles(directory, false);
  await store(never, made(6));
  assert.equal((await never.list()).at(-1)?.of, null);
});
