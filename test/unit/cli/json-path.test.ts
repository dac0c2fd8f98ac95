import assert from 'node:assert/strict';
import { test } from 'node:test';
import { jsonPath } from '../../../src/cli/json-path.ts';

const value = {
  converged: true,
  containers: { broker: { pid: 7, tags: ['x', 'y'] }, 'maps:1.0.0': { pid: null, tags: [] } },
};

for (const [template, printed] of [
  ['{.converged}', 'true'],
  ['converged', 'true'],
  ['.containers.broker.pid', '7'],
  ["{.containers['maps:1.0.0'].pid}", 'null'],
  ['{.containers.broker.tags[0]} and {.containers.broker.tags[-1]}', 'x and y'],
  ['{.containers.*.pid}', '7 null'],
  ['{.containers.broker.tags[*]}{"\\n"}', 'x y\n'],
  ['{$.containers.broker.tags}', '["x","y"]'],
  ['{.nothing.there}', ''],
] as const) {
  test(`jsonpath ${template}`, () => assert.equal(jsonPath(template, value), printed));
}

test('what it does not know is an error that shows how to write it', () => {
  for (const template of ['{range .containers}', '{.containers[?(@.pid==7)]}', '{..pid}']) {
    assert.throws(() => jsonPath(template, value), /jsonpath: ".*" is not understood/);
  }
});
