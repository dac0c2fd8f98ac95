// The example for CMake: configured, built, tested by CTest, installed; and for another processor.
import assert from 'node:assert/strict';
import { stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { exampleProject, type Project } from '../../support/example-project.ts';

async function configured(context: TestContext, ...options: readonly string[]): Promise<Project> {
  const project = await exampleProject(context, 'cmake');
  const place = (await project.ok('northstate', ['path', 'cmake'])).trim();
  await project.ok('cmake', ['-B', 'build', `-DNorthstate_DIR=${place}`, ...options]);
  return project;
}

const isPacked = /Packing weather\.npk/;

test('CMake packs program and library, CTest runs the container, --install brings the package', async (context) => {
  const one = await configured(context);
  assert.match(await one.ok('cmake', ['--build', 'build']), isPacked);
  const tested = await one.ok('ctest', ['--test-dir', 'build', '--output-on-failure', '--verbose']);
  assert.match(tested, /100% tests passed, 0 tests failed out of 2/);
  assert.match(tested, /21 degrees Celsius, 69\.8 Fahrenheit in the hall/);
  await one.ok('cmake', ['--install', 'build', '--prefix', join(one.directory, 'installed')]);
  assert.ok((await stat(join(one.directory, 'installed/share/northstate/packages/weather.npk'))).isFile());

  const other = await configured(context);
  await other.ok('cmake', ['--build', 'build']);
  assert.equal(await one.digest('build/weather.npk'), await other.digest('build/weather.npk'));
});

test('a change of the image packs again, with make and with Ninja, and nothing else does', async (context) => {
  for (const generator of ['Unix Makefiles', 'Ninja']) {
    const { directory, ok } = await configured(context, '-G', generator);
    await ok('cmake', ['--build', 'build']);
    assert.doesNotMatch(await ok('cmake', ['--build', 'build']), isPacked, generator);
    await writeFile(join(directory, 'root/etc/more'), 'x');
    await ok('touch', ['-d', '+2 seconds', 'root/etc']);
    assert.match(await ok('cmake', ['--build', 'build']), isPacked, generator);
  }
});

test('a toolchain file makes a package for its processor, whose tests are not run here', async (context) => {
  const { directory, ok } = await exampleProject(context, 'cmake');
  const place = (await ok('northstate', ['path', 'cmake'])).trim();
  const [processor, compiler] =
    process.arch === 'arm64' ? ['x86_64', 'x86_64-linux-gnu-gcc'] : ['aarch64', 'aarch64-linux-gnu-gcc'];
  await writeFile(
    join(directory, 'toolchain.cmake'),
    `set(CMAKE_SYSTEM_NAME Linux)\nset(CMAKE_SYSTEM_PROCESSOR ${processor})\nset(CMAKE_C_COMPILER ${compiler})
set(CMAKE_FIND_ROOT_PATH /nowhere)\nset(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)\nset(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)\n`,
  );
  await ok('cmake', ['-B', 'build', `-DNorthstate_DIR=${place}`, '-DCMAKE_TOOLCHAIN_FILE=toolchain.cmake']);
  const built = await ok('cmake', ['--build', 'build']);
  assert.match(built, isPacked);
  assert.doesNotMatch(built, /is made for/);
  assert.match(await ok('ctest', ['--test-dir', 'build']), /Disabled/);
  await ok('northstate', ['verify', 'build/weather.npk']);
});
