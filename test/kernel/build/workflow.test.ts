// The example of a GitHub workflow: what its steps run is run here, as somebody who is not root and has no network.
import assert from 'node:assert/strict';
import { chown, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import yaml from 'yaml';
import { keyPair } from '../../support/packages.ts';
import { exampleProject, type Project } from '../../support/example-project.ts';
import type { Output } from '../../support/command.ts';

const nobody = 65534;
const workflow = join(import.meta.dirname, '../../../examples/build/github/package.yml');

interface Step {
  readonly name?: string;
  readonly run?: string;
}

async function steps(): Promise<Step[]> {
  const parsed = yaml.parse(await readFile(workflow, 'utf8')) as { jobs: { package: { steps: Step[] } } };
  return parsed.jobs.package.steps;
}

/** The project for make, of a user who may do nothing else; bubblewrap takes the network away. */
async function unprivileged(
  context: TestContext,
): Promise<Project & { script(text: string, env?: NodeJS.ProcessEnv): Promise<Output> }> {
  const project = await exampleProject(context, 'make');
  const names = await readdir(project.directory, { recursive: true });
  for (const name of ['', '..', ...names]) await chown(join(project.directory, name), nobody, nobody);
  const user = ['--reuid', String(nobody), '--regid', String(nobody), '--clear-groups', '--no-new-privs', '--'];
  return {
    ...project,
    script: (text, env) =>
      project.run('unshare', ['--net', '--', 'setpriv', ...user, 'sh', '-euc', text], {
        TMPDIR: join(project.directory, '..'),
        ...env,
      }),
  };
}

test('every step of the workflow works without root and without a network', async (context) => {
  const { directory, script, digest } = await unprivileged(context);
  const keys = await keyPair('workflow');
  await writeFile(join(directory, 'integrator.pub'), await readFile(keys.public));
  const secret = (await readFile(keys.secret)).toString('base64');
  const outputs = new Map<string, string>();
  for (const { name = '', run } of await steps()) {
    // What installs northstate itself has no place in a checkout of it.
    if (run === undefined || name === 'Tools') continue;
    const { code, stdout, stderr } = await script(run, { NPK_KEY: secret });
    assert.equal(code, 0, `${name}: ${stdout}${stderr}`);
    outputs.set(name, stdout);
  }
  assert.deepEqual([...outputs.keys()], ['Lint', 'Build', 'Pack', 'Sign', 'Verify']);
  const json = (name: string) =>
    JSON.parse(outputs.get(name)?.replace(/^.*\.npk\n/, '') ?? '') as Record<string, unknown>;
  assert.deepEqual([json('Lint')['ok'], json('Pack')['ok'], json('Verify')['ok']], [true, true, true]);
  assert.equal(json('Sign')['ok'], true);
  assert.ok((json('Pack')['packages'] as { digest: string }[])[0]?.digest.startsWith('sha256:'));
  const first = await digest('counter-1.0.0.npk');
  const again = await unprivileged(context);
  for (const step of ['Build', 'Pack', 'Sign']) {
    const found = (await steps()).find(({ name }) => name === step)?.run ?? '';
    if (step === 'Sign') await writeFile(join(again.directory, 'integrator.pub'), await readFile(keys.public));
    assert.equal((await again.script(found, { NPK_KEY: secret })).code, 0);
  }
  assert.equal(await again.digest('counter-1.0.0.npk'), first);
});

test('what is wrong is told as JSON, with exit code 1', async (context) => {
  const { directory, script } = await unprivileged(context);
  await writeFile(join(directory, 'manifest.yaml'), 'name: a\nversion: 1.0.0\ninit: /a\nuid: 0\ngid: 1\n');
  const place = { line: 4, column: 1, field: 'uid' };
  for (const command of ['lint manifest.yaml -o json', 'pack -m manifest.yaml -r root -o . --json']) {
    const { code, stdout, stderr } = await script(`northstate ${command}`);
    const { ok, errors } = JSON.parse(stdout) as { ok: boolean; errors: (typeof place)[] };
    const [{ line, column, field } = { line: 0, column: 0, field: '' }] = errors;
    assert.deepEqual([code, stderr, ok, { line, column, field }], [1, '', false, place]);
  }
  for (const command of ['lint gone.yaml -o json', 'pack -m gone.yaml -o . --json', 'verify gone.npk -o json']) {
    const { code, stdout, stderr } = await script(`northstate ${command}`);
    assert.deepEqual([code, stderr, (JSON.parse(stdout) as { ok: boolean }).ok], [1, '', false], command);
    assert.match(stdout, /ENOENT/);
  }
});

test('lint looks at what the image will hold, also at what is added to it', async (context) => {
  const { script } = await unprivileged(context);
  const alone = await script('northstate lint manifest.yaml --root root');
  assert.match(alone.stdout, /^manifest\.yaml:3:1: warning: init: \/bin\/counter is missing: it is not in root/);
  assert.equal(
    (await script('make -s counter && northstate lint manifest.yaml -r root -a /bin/counter=counter')).stdout,
    '',
  );
  const text = await script('chmod -x counter && northstate lint manifest.yaml -a /bin/counter=counter');
  assert.match(text.stdout, /\/bin\/counter is not executable/);
});

test('a container is tested as root only, and CTest may know why', async (context) => {
  const { script } = await unprivileged(context);
  const { code, stderr } = await script('northstate test counter.npk');
  assert.deepEqual([code, stderr], [125, 'northstate: test needs root: it runs containers\n']);
});
