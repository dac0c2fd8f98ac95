import assert from 'node:assert/strict';
import { test } from 'node:test';
import pino from 'pino';
import { createContainerLog, linesPerSecond, longestLine } from '../../../src/container-log.ts';

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
  assert.equal(createContainerLog(log, () => 0)('broker', lines, 0), 0);
  const [first, second] = written();
  assert.deepEqual(first, { level: 30, container: 'broker', stream: 'stderr', line: 'short', msg: 'container output' });
  assert.equal(second?.line, `${'x'.repeat(longestLine)}...`);
});

test('lines beyond the rate are dropped, counted and said once there is room again', () => {
  const { log, written } = recorder();
  let now = 0;
  const logLines = createContainerLog(log, () => now);
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

function recorder() {
  const texts: string[] = [];
  const log = pino({ base: null, timestamp: false }, { write: (text: string) => void texts.push(text) });
  return { log, written: () => texts.map((text) => JSON.parse(text) as Line) };
}
