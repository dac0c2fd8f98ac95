import assert from 'node:assert/strict';
import { test } from 'node:test';
import pino from 'pino';
import { createContainerLog, linesPerSecond, longestLine, styleOf } from '../../../src/logs/container-log.ts';
import type { Observed } from '../../../state/observed.ts';
import { attempt, packageOf } from '../../support/views.ts';

interface Line {
  readonly msg: string;
  readonly container: string;
  readonly line?: string;
  readonly lines?: number;
  readonly bytes?: number;
}

test("a container's lines are logged with their stream, long ones cut", () => {
  const { log, written } = recorder();
  const lines = [
    { time: 1, stream: 'stderr', line: 'short' },
    { time: 1, stream: 'stdout', line: 'x'.repeat(longestLine + 1) },
  ] as const;
  assert.equal(createContainerLog(log, () => 0, style)('broker', lines, 0), 0);
  const [first, second] = written();
  assert.deepEqual(first, {
    level: 20,
    container: 'broker',
    target: 'broker:1.0.0',
    stream: 'stderr',
    line: 'short',
    msg: 'container output',
  });
  assert.equal(second?.line, `${'x'.repeat(longestLine)}...`);
});

test('lines beyond the rate are dropped, counted and said once there is room again', () => {
  const { log, written } = recorder();
  let now = 0;
  const logLines = createContainerLog(log, () => now, style);
  const flood = Array.from({ length: linesPerSecond + 50 }, () => ({ time: 1, stream: 'stdout', line: 'x' }) as const);
  assert.equal(logLines('broker', flood, 0), 1000, 'nothing need be read for a second');
  assert.equal(written().length, linesPerSecond);
  logLines('other', flood.slice(0, 1), 0);
  now = 1000;
  logLines('broker', flood.slice(0, 1), 4096);
  const [other, dropped, last] = written().slice(linesPerSecond);
  assert.equal(other?.container, 'other');
  assert.deepEqual([dropped?.msg, dropped?.lines, dropped?.bytes], ['container logged too fast', 50, 4096]);
  assert.equal(last?.msg, 'container output');
});

test('what the log does not show at its level is as slow, and nobody is told of what is dropped of it', () => {
  const { log, written } = recorder('info');
  const logLines = createContainerLog(log, () => 0, style);
  const flood = Array.from({ length: linesPerSecond + 50 }, () => ({ time: 1, stream: 'stdout', line: 'x' }) as const);
  assert.equal(logLines('broker', flood, 4096), 1000);
  assert.deepEqual(written(), []);
});

test('a stream has the level and the tag of the older dialect, else it is debug and that of its container', () => {
  const package1 = packageOf('1.0.0', { logs: new Map([['stdout', { level: 'warn', tag: 'hello' }]]) });
  const observed = {
    attempts: new Map([['app', [attempt(1, '1.0.0')]]]),
    packages: new Map([['app', [packageOf('2.0.0'), package1]]]),
  } as unknown as Observed;
  assert.deepEqual(styleOf(observed, 'app', 'stdout', 'debug'), { target: 'hello', level: 'warn' });
  assert.deepEqual(styleOf(observed, 'app', 'stderr', 'debug'), { target: 'app:1.0.0', level: 'debug' });
});

const style = (name: string) => ({ target: `${name}:1.0.0`, level: 'debug' }) as const;

function recorder(level = 'debug') {
  const texts: string[] = [];
  const log = pino({ base: null, timestamp: false, level }, { write: (text: string) => void texts.push(text) });
  return { log, written: () => texts.map((text) => JSON.parse(text) as Line) };
}
