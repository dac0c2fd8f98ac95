// cargo npk in a workspace: which crates, which program, which settings, and what is said when they cannot be.
import assert from 'node:assert/strict';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { projectIn, type Project } from '../../support/example-project.ts';

const fields =
  'uid = 1\ngid = 1\nmounts = { "/lib" = { type = "bind", host = "/lib" }, "/lib64" = { type = "bind", host = "/lib64" } }';
const inline = `[package.metadata.npk.manifest]\n${fields}`;
const target = `${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-unknown-linux-gnu`;

let project: Project;

async function write(path: string, content: string): Promise<void> {
  await mkdir(dirname(join(project.directory, path)), { recursive: true });
  await writeFile(join(project.directory, path), content);
}

async function crate(name: string, metadata: string, programs: readonly string[] = ['main']): Promise<void> {
  await write(`${name}/Cargo.toml`, `[package]\nname = "${name}"\nversion = "1.2.3"\nedition = "2021"\n${metadata}\n`);
  for (const program of programs)
    await write(`${name}/src/${program === 'main' ? 'main' : `bin/${program}`}.rs`, 'fn main() {}\n');
}

before(async () => {
  project = projectIn(await mkdtemp(join(tmpdir(), 'northstate-workspace-')));
  await write('Cargo.toml', '[workspace]\nmembers = ["one", "two", "plain", "ours"]\nresolver = "2"\n');
  await crate('one', `${inline}\n[package.metadata.npk.target.${target}]\nuse_cross = true\nroot = "root"\n`);
  await write('one/root/etc/file', 'x');
  await crate('two', `${inline}\ninit = "/bin/second"\n`, ['first', 'second']);
  await crate('plain', '');
  await crate('ours', `default-run = "b"\n${inline}\nname = "other"\n`, ['a', 'b']);
});
after(() => rm(project.directory, { recursive: true }));

async function packages(...args: readonly string[]): Promise<string[]> {
  const told = JSON.parse(await project.ok('cargo', ['npk', 'pack', '--quiet', '--json', '--offline', ...args])) as {
    packages: { path: string }[];
  };
  return told.packages.map(({ path }) => path);
}

async function files(path: string): Promise<string[]> {
  await rm(join(project.directory, 'unpacked'), { recursive: true, force: true });
  await project.ok('northstate', ['unpack', path, '--out', 'unpacked']);
  const found = await project.ok('find', ['unpacked/root', '-type', 'f', '-printf', '%P\n']);
  return found.trim().split('\n').toSorted();
}

async function refusal(...args: readonly string[]): Promise<string> {
  const { code, stderr } = await project.run('cargo', ['npk', 'pack', '--quiet', '--offline', ...args], {
    CROSS: 'false',
  });
  assert.equal(code, 1, stderr);
  return stderr.replaceAll(project.directory, '');
}

test('a workspace means every crate with metadata, --package one of them', async () => {
  assert.deepEqual(await packages('--out', 'out', '--package', 'two', '--package', 'ours@1.2.3'), [
    'out/two-1.2.3.npk',
    'out/other-1.2.3.npk',
  ]);
  await crate('one', inline);
  assert.deepEqual((await packages('--out', 'out')).length, 3);
  assert.deepEqual((await packages('--manifest-path', 'two/Cargo.toml', '--workspace', '--out', 'out')).length, 3);
  assert.deepEqual(await packages('--manifest-path', 'one/Cargo.toml', '--profile', 'dev'), [
    join(project.directory, 'target/debug/one-1.2.3.npk'),
  ]);
});

test('of several programs it is that which init is called after, that of `cargo run`, or --bin', async () => {
  assert.deepEqual(await files((await packages('-p', 'two', '--out', 'out'))[0] ?? ''), ['bin/second']);
  assert.deepEqual(await files((await packages('-p', 'ours', '--out', 'out'))[0] ?? ''), ['b']);
  assert.deepEqual(await files((await packages('-p', 'ours', '--bin', 'a', '--out', 'out/one.npk'))[0] ?? ''), ['a']);
});

test('clones, a key, and a build with cross, whose paths are those of its container', async () => {
  await crate('one', `${inline}\n[package.metadata.npk.target.${target}]\nuse_cross = true\nroot = "root"\n`);
  const cross = `#!/bin/sh\ncargo "$@" | sed 's#"executable":"[^"]*/target/#"executable":"/target/#'\n`;
  await write('cross', cross);
  await chmod(join(project.directory, 'cross'), 0o755);
  await project.ok('northstate', ['gen-key', '--name', 'me', '--out', '.']);
  const words = ['npk', 'pack', '--quiet', '-p', 'one', '--clones', '2', '--key', 'me.key', '--out', 'clones'];
  const told = await project.ok('cargo', words, { CROSS: './cross' });
  assert.equal(told, 'clones/one-0-1.2.3.npk\nclones/one-1-1.2.3.npk\n');
  assert.deepEqual(await files('clones/one-1-1.2.3.npk'), ['etc/file', 'one']);
  await project.ok('northstate', ['verify', 'clones/one-0-1.2.3.npk', '--key', 'me.pub']);
  await crate('one', inline);
});

test('the target is that of the configuration, too', async () => {
  await write('.cargo/config.toml', `[build]\ntarget = "${target}"\n`);
  await crate('one', `[package.metadata.npk.target.${target}.manifest]\n${fields}\n`);
  assert.deepEqual(await packages('-p', 'one'), [join(project.directory, 'target', target, 'debug/one-1.2.3.npk')]);
  await rm(join(project.directory, '.cargo'), { recursive: true });
  await crate('one', inline);
});

test('what is wrong is said with file and field', async () => {
  assert.match(
    await refusal('-p', 'plain'),
    /^northstate: \/plain\/Cargo\.toml: package\.metadata\.npk: is missing\n$/,
  );
  assert.match(await refusal('-p', 'none'), /the workspace has no crate none/);
  assert.match(await refusal('-p', 'ours', '--bin', 'c'), /has no program c, only: a, b/);
  for (const [metadata, message] of [
    ['[package.metadata.npk]\ncolour = 1', /one\/Cargo\.toml: package\.metadata\.npk\.colour: there is no such field/],
    ['[package.metadata.npk]\nroot = "x"', /package\.metadata\.npk\.manifest: is missing/],
    [`${inline}\nuids = 1`, /one\/Cargo\.toml: package\.metadata\.npk\.manifest\.uids: there is no such field/],
    ['[package.metadata.npk]\nmanifest = "gone.yaml"', /ENOENT.*one\/gone\.yaml/],
    [
      `[package.metadata.npk]\nroot = "src"\n${inline}\ninit = "/main.rs"`,
      /\/main\.rs is in the root directory already/,
    ],
  ] as const) {
    await crate('one', metadata);
    assert.match(await refusal('-p', 'one'), message);
  }
  await crate('one', inline);
  await write('one/src/main.rs', 'fn main() { nothing() }\n');
  assert.match(await refusal('-p', 'one'), /cannot find function[\s\S]*build of one failed \(exit code 101\)/);
});
