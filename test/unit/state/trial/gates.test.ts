// Gates and pruning: what a document says of them, and what that means.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { emptyDesired, type Desired } from '../../../../state/desired.ts';
import { parseDocument } from '../../../../state/document/parse-document.ts';
import { judgeWindow, parseWindow, windowText } from '../../../../state/trial/gates.ts';
import { pruneProblem } from '../../../../state/trial/prune.ts';
import { strictest } from '../../../../state/trial/terms.ts';
import { attempt, target } from '../../../support/views.ts';

const minutes = 60_000;

test('a time of day is judged in its zone, also past midnight and where the clocks are changed', () => {
  for (const bad of ['', '2:00-4:00', '02:00', '24:00-02:00', '02:00-24:01', '02:60-03:00', '02:00-02:00', 'a'])
    assert.equal(parseWindow(bad), null, bad);
  const night = parseWindow('22:30-04:00');
  assert.ok(night !== null);
  assert.equal(windowText(night), '22:30-04:00');
  const at = (text: string, zone = 'UTC') => judgeWindow(night, zone, Date.parse(text));
  assert.deepEqual(at('2026-03-01T22:30:00Z'), { open: true });
  assert.deepEqual(at('2026-03-01T03:59:59Z'), { open: true });
  assert.deepEqual(at('2026-03-01T04:00:00Z'), { open: false, again: (18 * 60 + 30) * minutes });
  assert.deepEqual(at('2026-03-01T22:29:30Z'), { open: false, again: 30_000 });
  assert.deepEqual(at('2026-07-01T20:30:00Z', 'Europe/Berlin'), { open: true }, 'summer time');
  assert.deepEqual(at('2026-01-01T20:30:00Z', 'Europe/Berlin'), { open: false, again: 60 * minutes });
  assert.deepEqual(at('1970-01-01T23:00:00Z'), { open: false, again: null }, 'the clock has not been set');
  const midnight = parseWindow('23:00-24:00');
  assert.ok(midnight !== null && judgeWindow(midnight, 'UTC', Date.parse('2026-01-01T23:59:59Z')).open);
});

test('a document says its gate, and what cannot be is refused with its place', () => {
  const read = (when: string) => parseDocument(`apiVersion: northstate/v1\ntrial:\n  when: ${when}\n`);
  const good = read(
    '{ exists: /run/parked, between: "02:00-04:00", zone: Europe/Berlin, exec: [/bin/true], every: 5s }',
  );
  assert.ok(good.ok);
  assert.deepEqual(good.desired.trial?.when, [
    {
      ...{ exists: '/run/parked', absent: null, between: { from: 120, to: 240 }, zone: 'Europe/Berlin' },
      ...{ exec: ['/bin/true'], timeout: 10_000, every: 5000 },
    },
  ]);
  const bad = [
    ['{}', /none of exists, absent, between and exec/],
    ['{ zone: UTC, exists: /a }', /zone is of between/],
    ['{ between: "02:00-04:00", zone: Mars/Base }', /time zone/],
    ['{ between: 2 }', /expected/],
    ['{ exists: run/parked }', /absolute path/],
    ['{ exists: /a, absent: /a }', /cannot be there and not be there/],
    ['{ exec: [] }', /./],
    ['{ exec: [sh, -c, x] }', /absolute path/],
    ['{ exec: [/bin/true], timeout: 0s }', /more than 0/],
    ['{ exec: [/bin/true], every: 10ms }', /at least 1s/],
    ['{ exist: /a }', /./],
  ] as const;
  for (const [when, message] of bad) {
    const found = read(when);
    assert.ok(!found.ok, when);
    assert.match(found.error.message, message, when);
    assert.equal(found.error.line, 3, when);
  }
});

test('the gates of all who ask for a trial hold, each once', () => {
  const gate = (path: string) => ({
    ...{ exists: path, absent: null, between: null, zone: 'UTC', exec: null, timeout: 1, every: 1 },
  });
  const terms = (when: ReturnType<typeof gate>[]) =>
    ({ confirm: 'health', soak: 1, within: 2, boots: 1, when }) as const;
  const found = strictest([terms([gate('/a')]), null, terms([gate('/b'), gate('/a')])]);
  assert.deepEqual(
    found?.when?.map(({ exists }) => exists),
    ['/a', '/b'],
  );
});

test('a document that stops more than half of what runs is told; a replacement is no stop', () => {
  const desired = (...names: string[]): Desired => ({
    ...emptyDesired,
    containers: new Map(names.map((name) => [name, { ...target('running', '1.0.0', null).entry, key: name, name }])),
  });
  const runs = (...names: string[]) => new Map(names.map((name) => [name, [attempt(1, '1.0.0', 'running')]]));
  const before = {
    observed: { attempts: runs('a', 'b', 'c', 'd', 'by-console') },
    desired: desired('a', 'b', 'c', 'd'),
  };
  assert.equal(pruneProblem(before, desired('a', 'b')), null, 'half is not more than half');
  assert.equal(pruneProblem(before, desired('a', 'b', 'c', 'd', 'e')), null);
  assert.match(
    pruneProblem(before, desired('d')) ?? '',
    /would stop 3 of 4 containers that run \(a, b, c\): .*apply --prune/,
  );
  assert.match(pruneProblem(before, desired()) ?? '', /4 of 4 .*\(a, b, c, and 1 more\)/);
  assert.equal(pruneProblem({ ...before, observed: { attempts: new Map() } }, desired()), null, 'nothing runs');
});
