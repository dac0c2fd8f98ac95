// The layer of examples/integration/meta-northstate: what oelint-adv says of it, and what its tasks do, without building an image.
import assert from 'node:assert/strict';
import { existsSync, globSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { northstate, run } from '../support/command.ts';
import { release, unpack } from '../support/made-release.ts';
import { probePackage } from '../support/packages.ts';
import { ok } from './updated-device.ts';

const root = join(import.meta.dirname, '../..');
const layer = join(root, 'examples/integration/meta-northstate');
const linter = join(root, '.build/oelint');

test('oelint-adv finds neither an error nor a warning', async () => {
  assert.ok(existsSync(linter), `${linter} is missing: run sh native/setup.sh --updaters`);
  const files = globSync('**/*.{bb,bbappend,bbclass}', { cwd: layer });
  assert.equal(files.length, 4);
  const words = [
    '-m',
    'oelint_adv',
    '--quiet',
    '--suppress',
    'oelint.vars.homepageping',
    ...files.map((file) => join(layer, file)),
  ];
  const { stdout, stderr } = await run('python3', words, { PYTHONPATH: linter });
  const said = `${stdout}${stderr}`.split('\n').filter((line) => /:(error|warning):/.test(line));
  assert.deepEqual(said, []);
  assert.match(`${stdout}${stderr}`, /:info:/, 'it has read them');
});

test('the fragment of the kernel is what check prints', async () => {
  const { code, stdout } = await run(northstate, ['check', '-o', 'kconfig']);
  assert.equal(code, 0);
  assert.equal(await readFile(join(layer, 'recipes-kernel/linux/files/northstate.cfg'), 'utf8'), stdout);
});

/** The body of a shell function of a recipe, with these values for its variables, ran by sh. */
async function runTask(file: string, task: string, variables: Readonly<Record<string, string>>): Promise<void> {
  const text = await readFile(join(layer, file), 'utf8');
  const body = new RegExp(`^${task}\\(\\) \\{\\n([\\s\\S]*?)^\\}$`, 'm').exec(text)?.[1] ?? '';
  assert.notEqual(body, '', `${file} has a ${task}`);
  const script = body.replaceAll(/\$\{(\w+)\}/g, (_whole, name: string) => {
    const value = variables[name];
    assert.notEqual(value, undefined, `${file}: \${${name}}`);
    return value ?? '';
  });
  await ok('sh', '-ec', script);
}

/** What bitbake.conf says of them, for a distribution with /usr merged. */
const directories = { datadir: '/usr/share', sysconfdir: '/etc', nonarch_libdir: '/usr/lib' };

test('the recipe installs the release, the class puts packages and the first document beside it', async () => {
  const work = await mkdtemp(join(tmpdir(), 'northstate-yocto-'));
  try {
    const archive = (await release(join(work, 'out'))).find((name) => name.endsWith('.tar.zst')) ?? '';
    const [version = ''] = /\d+\.\d+\.\d+/.exec(archive) ?? [];
    const recipe = `recipes-containers/northstate/northstate_${version}.bb`;
    assert.ok(existsSync(join(layer, recipe)), `the recipe has the version of ${archive}`);
    await mkdir(join(work, 'unpacked'));
    const source = dirname(await unpack(join(work, 'out', archive), join(work, 'unpacked')));
    for (const [name, units] of [
      ['merged', '/usr/lib/systemd/system'],
      ['split', '/lib/systemd/system'],
    ] as const) {
      const image = join(work, name);
      await mkdir(image);
      await runTask(recipe, 'do_install', { ...directories, S: source, D: image, systemd_system_unitdir: units });
      assert.deepEqual(
        globSync('**/northstate.service', { cwd: image }).map((file) => `/${file}`),
        [`${units}/northstate.service`],
      );
      const known = /^FILES:\$\{PN\} \+= "(.*)"$/m.exec(await readFile(join(layer, recipe), 'utf8'))?.[1] ?? '';
      assert.equal(known, '${datadir} ${nonarch_libdir} ${systemd_system_unitdir}');
      const packaged = /^(usr\/(bin|share|lib)|etc|lib\/systemd\/system)\//;
      const files = (await readdir(image, { recursive: true, withFileTypes: true })).filter(
        (entry) => !entry.isDirectory(),
      );
      const left = files.map(({ parentPath, name: file }) => join(parentPath, file).slice(image.length + 1));
      assert.deepEqual(
        left.filter((file) => !packaged.test(file)),
        [],
      );
    }
    const image = join(work, 'merged');
    const hello = join(work, 'hello-1.0.0.npk');
    await copyFile(await probePackage({ name: 'hello' }), hello);
    for (const name of ['desired.yaml', 'integrator.pub']) await writeFile(join(work, name), `${name}\n`);
    await runTask('classes/northstate_image.bbclass', 'northstate_seed', {
      ...directories,
      IMAGE_ROOTFS: image,
      NORTHSTATE_PACKAGES: hello,
      NORTHSTATE_KEYS: join(work, 'integrator.pub'),
      NORTHSTATE_DOCUMENT: join(work, 'desired.yaml'),
    });
    assert.deepEqual(await readdir(join(image, 'usr/share/northstate/packages')), ['hello-1.0.0.npk']);
    assert.deepEqual((await readdir(join(image, 'etc/northstate'))).toSorted(), [
      'config.yaml',
      'desired.yaml',
      'integrator.pub',
    ]);
  } finally {
    await rm(work, { recursive: true });
  }
});
