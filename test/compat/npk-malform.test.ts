// Malformed, hostile and odd packages. Judged is what a reader without a key must find; what only a key can tell
// (signatures, hashes, the verity tree) is no error here, and those packages must be readable.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { PackageError } from '../../src/npk/error.ts';
import { inspect } from '../../src/npk/inspect.ts';
import { readPackage, type Package } from '../../src/npk/package.ts';
import { assertManifest, expected, fixture } from './npk-fixtures.ts';

interface Case {
  /** "ok", "any", or what is wrong. */
  readonly without_key: string;
}

interface Answer {
  readonly without_key: 'ok' | 'refused';
  /** What Northstar reports of an accepted one. */
  readonly manifest?: unknown;
}

// We never unpack, and an entry of another name is none of ours; so its name leads nowhere.
const harmless = 'entry-traversal';

const folder = mkdtempSync(join(tmpdir(), 'northstate-malform-'));
after(() => rmSync(folder, { recursive: true }));
execFileSync('python3', [fixture('malform.py'), folder]);
const cases = JSON.parse(readFileSync(join(folder, 'cases.json'), 'utf8')) as Readonly<Record<string, Case>>;
const answers = expected('malform.json') as Readonly<Record<string, Answer>>;

async function read(name: string): Promise<Package | PackageError> {
  try {
    return await readPackage(join(folder, `${name}.npk`));
  } catch (error) {
    if (error instanceof PackageError) return error;
    throw error;
  }
}

for (const [name, { without_key: wanted }] of Object.entries(cases)) {
  if (wanted === 'any') {
    test(`${name}: read or refused`, async () => assert.ok(await read(name)));
  } else if (wanted === 'ok' || name === harmless) {
    test(`${name}: read`, async () => {
      const found = await read(name);
      assert.ok(!(found instanceof PackageError), found instanceof PackageError ? found.message : '');
      const manifest = answers[name]?.manifest;
      if (manifest !== undefined) assertManifest(found.manifest, manifest);
      await inspect(found.path);
    });
  } else {
    test(`${name}: refused (${wanted})`, async () => {
      const found = await read(name);
      assert.ok(found instanceof PackageError, 'it was read');
      // A path that would lead out is refused with the manifest that names it.
      const [reason] = wanted.replace('path', 'manifest').split(':');
      assert.equal(found.reason, reason, found.message);
    });
  }
}

test('everything that Northstar refuses without a key is refused, but for two things that it should not', () => {
  const refused = Object.entries(answers).filter(([, { without_key: answer }]) => answer === 'refused');
  const accepted = refused.filter(([name]) => cases[name]?.without_key === 'ok').map(([name]) => name);
  // The older dialect's mounts, and a scheduling policy that Northstar documents and then refuses.
  assert.deepEqual(accepted, ['manifest-mount-untyped', 'manifest-sched-round-robin']);
});
