// The text that scrapers read.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { exposed, type Family } from '../../../src/metrics/exposition.ts';
import { collect } from '../../../src/metrics/metrics.ts';
import { containerStatus, empty } from '../../support/console/fake-state.ts';

const families: readonly Family[] = [
  {
    name: 'a',
    type: 'gauge',
    help: 'A "text" with \\ and\na line.',
    samples: [{ labels: { of: 'x"\\\n' }, value: 1.5 }],
  },
  { name: 'b_seconds', type: 'counter', unit: 'seconds', help: 'B.', samples: [{ labels: {}, value: 2 }] },
  { name: 'c', type: 'info', help: 'C.', samples: [{ labels: { version: '1' }, value: 1 }] },
  { name: 'd', type: 'stateset', help: 'D.', samples: [{ labels: { d: 'on' }, value: NaN }] },
  { name: 'nothing', type: 'gauge', help: 'None.', samples: [] },
];

test('OpenMetrics names families, units and the end', () => {
  assert.equal(
    exposed(families, 'openmetrics'),
    `# TYPE a gauge
# HELP a A \\"text\\" with \\\\ and\\na line.
a{of="x\\"\\\\\\n"} 1.5
# TYPE b_seconds counter
# UNIT b_seconds seconds
# HELP b_seconds B.
b_seconds_total 2
# TYPE c info
# HELP c C.
c_info{version="1"} 1
# TYPE d stateset
# HELP d D.
d{d="on"} NaN
# EOF
`,
  );
});

test('the older form names samples, and knows no other types', () => {
  const lines = exposed(families, 'prometheus').split('\n');
  assert.deepEqual(
    lines.filter((line) => line.startsWith('# TYPE')),
    ['# TYPE a gauge', '# TYPE b_seconds_total counter', '# TYPE c_info gauge', '# TYPE d gauge'],
  );
  assert.ok(lines.includes('# HELP a A "text" with \\\\ and\\na line.'));
  assert.ok(!lines.includes('# EOF'));
});

test('there is one series of each kind for a container, whatever it does', async () => {
  const counts = { cpuSeconds: 1, memoryBytes: 2, memoryLimit: null, oomKills: 0, readBytes: 3, writtenBytes: 4 };
  const looked: string[] = [];
  const of = async (names: readonly string[]): Promise<number> => {
    const containers = Object.fromEntries(
      names.map((name) => [name, { ...containerStatus('1.0.0', 'system'), pid: name === 'still' ? null : 7 }]),
    );
    const state = { ...empty, status: { ...empty.status, containers } };
    const { families: found } = await collect({
      state: () => state,
      counts(name) {
        looked.push(name);
        return counts;
      },
      starts: 1,
      sleeps: 0,
    });
    return found.reduce((sum, { samples }) => sum + samples.length, 0);
  };
  const [none, one, two] = [await of([]), await of(['a']), await of(['a', 'b'])];
  assert.equal(two - one, one - none);
  assert.ok(one - none < 25);
  looked.length = 0;
  await of(['a', 'still']);
  assert.deepEqual(looked, ['a'], 'files of what does not run');
});

test('the dashboard asks for what there is', async () => {
  const counts = { cpuSeconds: 1, memoryBytes: 2, memoryLimit: null, oomKills: 0, readBytes: 3, writtenBytes: 4 };
  const { families: found } = await collect({ state: () => empty, counts: () => counts, starts: 1, sleeps: 0 });
  const known = new Map(found.map(({ name, type }) => [type === 'counter' ? `${name}_total` : name, type]));
  const path = join(import.meta.dirname, '../../../examples/metrics/dashboard.json');
  const { panels } = JSON.parse(readFileSync(path, 'utf8')) as {
    panels: readonly { readonly targets?: readonly { readonly expr: string }[] }[];
  };
  const asked = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
  assert.ok(asked.length > 5);
  for (const expr of asked) {
    const [metric = ''] = /northstate_\w+(?=\{)/.exec(expr) ?? [];
    assert.ok(known.has(metric), `${metric} is not measured: ${expr}`);
    // Of a state set the label that says which is named as the metric is.
    const labels = [...expr.matchAll(/(\w+)=~?"/g)]
      .map(([, label = '']) => label)
      .filter((label) => label !== 'instance');
    for (const label of labels) assert.deepEqual([label, known.get(metric)], [metric, 'stateset']);
  }
});
