// Malformed, hostile and odd packages: every one gets the class of error that the fixtures' table demands, without a key
// and with one, and nothing stays open or behind.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { PackageError } from '../../src/npk/package-error.ts';
import { createHasher } from '../../src/npk/image/hasher.ts';
import { inspect } from '../../src/npk/inspect-package.ts';
import { readKeys, type PublicKey } from '../../src/npk/signature/keys.ts';
import { readPackage } from '../../src/npk/open-package.ts';
import { unpack } from '../../src/npk/unpack.ts';
import { verifyPackage } from '../../src/npk/verify-package.ts';
import { assertManifest, expected, fixture } from './npk-fixtures.ts';

interface Case {
  /** "ok", "any", or the class of the fault, with more behind a colon. */
  readonly without_key: string;
  readonly with_key: string;
}

interface Answer {
  readonly without_key: 'ok' | 'refused';
  /** What Northstar reports of an accepted one. */
  readonly manifest?: unknown;
}

const folder = mkdtempSync(join(tmpdir(), 'northstate-malform-'));
const hasher = createHasher(1);
let keys: PublicKey[] = [];
before(async () => {
  keys = await readKeys(fixture('keys/fixture.pub'));
});
after(async () => {
  await hasher.close();
  rmSync(folder, { recursive: true });
});
execFileSync('python3', [fixture('malform.py'), folder]);
const cases = JSON.parse(readFileSync(join(folder, 'cases.json'), 'utf8')) as Readonly<Record<string, Case>>;
const answers = expected('malform.json') as Readonly<Record<string, Answer>>;
const file = (name: string): string => join(folder, `${name}.npk`);

/** "ok" or the class of the fault. */
async function classOf(name: string, judges: readonly PublicKey[] | null): Promise<string> {
  try {
    await verifyPackage(file(name), { keys: judges, hasher });
    return 'ok';
  } catch (error) {
    if (error instanceof PackageError) return error.reason;
    throw error;
  }
}

for (const [name, { without_key: plain, with_key: judged }] of Object.entries(cases)) {
  test(`${name}: ${plain} without a key, ${judged} with one`, async () => {
    const descriptors = readdirSync('/proc/self/fd').length;
    for (const [wanted, judges] of [
      [plain, null],
      [judged, keys],
    ] as const) {
      const found = await classOf(name, judges);
      const [reason] = wanted.split(':');
      if (wanted !== 'any') assert.equal(found, reason);
    }
    assert.equal(readdirSync('/proc/self/fd').length, descriptors);
  });
}

for (const [name, { without_key: wanted }] of Object.entries(cases)) {
  if (wanted !== 'ok') continue;
  test(`${name} is shown, and its manifest is the one that Northstar reads`, async () => {
    const found = await readPackage(file(name));
    await inspect(found.path);
    const manifest = answers[name]?.manifest;
    if (manifest !== undefined) assertManifest(found.manifest, manifest);
  });
}

test('what is not good is not unpacked, and leaves nothing behind', async () => {
  const bad = Object.entries(cases).filter(([, { with_key: wanted }]) => wanted !== 'ok' && wanted !== 'any');
  const before = readdirSync(folder);
  const out = join(folder, 'out');
  for (const [name] of bad) {
    await assert.rejects(unpack(file(name), { out, keys }), PackageError, name);
    assert.ok(!existsSync(out));
  }
  assert.deepEqual(readdirSync(folder), before);
});

test('everything that Northstar refuses without a key is refused, but for two things that it should not', () => {
  const refused = Object.entries(answers).filter(([, { without_key: answer }]) => answer === 'refused');
  const accepted = refused.filter(([name]) => cases[name]?.without_key === 'ok').map(([name]) => name);
  // The older dialect's mounts, and a scheduling policy that Northstar documents and then refuses.
  assert.deepEqual(accepted, ['manifest-mount-untyped', 'manifest-sched-round-robin']);
});
