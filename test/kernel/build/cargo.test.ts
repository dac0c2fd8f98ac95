// The example for cargo, built for musl and for the GNU C library, packed and run.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { run } from '../../support/command.ts';
import { exampleProject, type Project } from '../../support/example-project.ts';

const processor = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
const gnu = `${processor}-unknown-linux-gnu`;
const musl = `${processor}-unknown-linux-musl`;

/** Debian's toolchain has no standard library for musl; rustup's can have it. */
async function muslMissing(): Promise<string | false> {
  const { stdout } = await run('rustc', ['--print', 'target-libdir', '--target', musl]);
  return existsSync(stdout.trim()) ? false : `this toolchain has no ${musl}: rustup target add ${musl}`;
}

async function packed({ ok }: Project, ...args: readonly string[]): Promise<string> {
  const told = JSON.parse(await ok('cargo', ['npk', 'pack', '--quiet', '--json', ...args])) as {
    packages: { path: string; digest: string }[];
    warnings: unknown[];
  };
  assert.deepEqual(told.warnings, []);
  assert.equal(told.packages.length, 1);
  return told.packages[0]?.path ?? '';
}

test('a crate for musl is a static program with nothing beside it', { skip: await muslMissing() }, async (context) => {
  const [one, other] = [await exampleProject(context, 'cargo'), await exampleProject(context, 'cargo')];
  const options = ['--release', '--target', musl, '--locked'];
  const path = await packed(one, ...options);
  assert.equal(path, join(one.directory, 'target', musl, 'release/beacon-1.0.0.npk'));
  assert.equal(await one.ok('northstate', ['test', path]), 'beacon:1.0.0: all is well\n');
  const manifest = await one.ok('northstate', ['inspect', path, '-o', 'json']);
  assert.doesNotMatch(manifest, /"mounts"/);
  const file = `target/${musl}/release/beacon-1.0.0.npk`;
  await packed(other, ...options);
  assert.equal(await one.digest(file), await other.digest(file));
});

test('a target has its own manifest, features reach the program, and --out is a directory', async (context) => {
  const [one, other] = [await exampleProject(context, 'cargo'), await exampleProject(context, 'cargo')];
  const options = ['--release', '--target', gnu, '--features', 'loud', '--out', 'packages'];
  const path = await packed(one, ...options);
  assert.equal(path, 'packages/beacon-1.0.0.npk');
  assert.equal(await one.ok('northstate', ['test', path]), 'beacon:1.0.0: ALL IS WELL\n');
  await packed(other, ...options);
  assert.equal(await one.digest(path), await other.digest(path));
});
