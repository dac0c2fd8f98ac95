// The example for Python: the interpreter is the device's, what the requirements name comes along.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exampleProject } from '../../support/example-project.ts';

// Debian's, which is what the package binds.
const make = ['PIP=/usr/bin/python3 -m pip --disable-pip-version-check'];

test('a Python program runs with the wheels that its package holds, the same bytes each time', async (context) => {
  const [one, other] = [await exampleProject(context, 'python'), await exampleProject(context, 'python')];
  await one.ok('make', make);
  assert.equal(await one.ok('northstate', ['test', 'tally.npk']), '10 counted by tally 1.0.0\n');
  await other.ok('make', make);
  assert.equal(await one.digest('tally.npk'), await other.digest('tally.npk'));
});
