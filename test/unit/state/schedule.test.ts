// When a schedule is due, and what is remembered of it.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseDocument } from '../../../state/document/parse-document.ts';
import {
  changed,
  changeOf,
  wakeAt,
  wallTime,
  type Schedule,
  type ScheduleFacts,
  type ScheduleRecord,
} from '../../../state/schedule.ts';
import { cronAfter } from '../../../state/schema/cron.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const every: Schedule = { kind: 'every', every: 15 * MINUTE, jitter: 0, missed: 'run' };
const cron: Schedule = { kind: 'cron', cron: '30 3 * * *', zone: 'UTC', jitter: 0, missed: 'run' };
const noon = Date.UTC(2026, 5, 1, 12);
const ports = {
  random: () => 0.5,
  nextCron: ({ cron: pattern, zone }: { cron: string; zone: string }, after: number) => cronAfter(pattern, zone, after),
};

function facts(fields: Partial<ScheduleFacts> = {}): ScheduleFacts {
  return { now: 0, boot: 'one', wall: null, runs: false, begun: false, ended: null, highest: 0, ...fields };
}

function made(record: ScheduleRecord | null, schedule: Schedule, fields: Partial<ScheduleFacts>): ScheduleRecord {
  const next = changed(record, schedule, facts(fields), ports);
  assert.ok(next !== null);
  return next;
}

/** A document whose container has that schedule; the error, as LINE:COLUMN MESSAGE, or what it asks for. */
function read(schedule: string, more = ''): unknown {
  const text = `apiVersion: northstate/v1\ncontainers:\n  report:\n    schedule: ${schedule}\n${more}`;
  const found = parseDocument(text);
  if (!found.ok) return `${found.error.line}:${found.error.column} ${found.error.message}`;
  const entry = found.desired.containers.get('report');
  return { schedule: entry?.schedule, policy: entry?.restart.policy };
}

test('the first run of every is due at once, each other one so long after the one before', () => {
  let record = made(null, every, { now: 1000 });
  assert.deepEqual(record.next, { due: 1000, at: 1000 });
  record = made(record, every, { now: 1000 });
  assert.deepEqual([record.owed, record.next?.due], [1, 1000 + 15 * MINUTE]);
  assert.equal(changeOf(record, every, facts({ now: 2000 })), null);
  record = made(record, every, { now: 2000, begun: true });
  assert.deepEqual([record.owed, record.last], [null, { run: 1, at: null, exit: null }]);
  record = made(record, every, { now: 3000, ended: { code: 3 } });
  assert.deepEqual(record.last?.exit, { code: 3 });
  assert.equal(wakeAt(record, every, facts({ now: 3000 })), 1000 + 15 * MINUTE);
});

test('what passes while a run goes on is made up for by one more run, or is left out', () => {
  const begun = made(made(made(null, every, {}), every, {}), every, { begun: true });
  const late = made(begun, every, { now: 50 * MINUTE, runs: true });
  assert.deepEqual([late.owed, late.next?.due], [2, 60 * MINUTE]);
  const later = made(late, every, { now: 60 * MINUTE, runs: true });
  assert.deepEqual([later.owed, later.next?.due], [2, 75 * MINUTE]);
  const skipping: Schedule = { ...every, missed: 'skip' };
  const own = made(made(made(null, skipping, {}), skipping, {}), skipping, { begun: true });
  assert.equal(made(own, skipping, { now: 15 * MINUTE, runs: true }).owed, null);
  assert.equal(made(own, skipping, { now: 15 * MINUTE + 30_000 }).owed, 2, 'half a minute late is in time');
  assert.equal(made(own, skipping, { now: 17 * MINUTE }).owed, null);
});

test('in another boot every goes on where it was, as far as the wall clock tells', () => {
  const before = made(made(null, every, { now: HOUR, wall: noon }), every, { now: HOUR, wall: noon });
  const taken = { ...before, owed: null };
  const after = (wall: number | null, schedule = every) =>
    made({ ...taken }, schedule, { boot: 'two', now: 1000, wall }).next?.due;
  assert.equal(after(noon + 5 * MINUTE), 1000 + 10 * MINUTE);
  assert.equal(after(noon + 20 * MINUTE), 1000 - 5 * MINUTE, 'it was due while nobody was there');
  assert.equal(after(null), 1000);
  assert.equal(after(noon - HOUR), 1000, 'a clock that went back tells nothing');
  const record = made({ ...taken, owed: 1 }, every, { boot: 'two', now: 1000, wall: null });
  assert.equal(record.owed, 1, 'what is owed stays owed');
});

test('cron waits until the clock has been set, and catches up when it is', () => {
  assert.equal(wallTime(5000, 0), null);
  assert.equal(changeOf(null, cron, facts()), null);
  const record = made(null, cron, { wall: noon });
  assert.equal(record.next?.due, Date.UTC(2026, 5, 2, 3, 30));
  assert.equal(changeOf(record, cron, facts({ boot: 'two' })), null, 'another boot, and nobody knows the time');
  assert.equal(changeOf(record, cron, facts({ boot: 'two', wall: noon + 24 * HOUR })), 'due');
  const due = made(record, cron, { wall: noon + 72 * HOUR });
  assert.deepEqual([due.owed, due.next?.due], [1, Date.UTC(2026, 5, 5, 3, 30)]);
});

test('a clock that goes back by less than three hours repeats nothing, by more it is taken for a correction', () => {
  const at = Date.UTC(2026, 5, 2, 3, 30);
  const done = made(made(null, cron, { wall: noon }), cron, { wall: at });
  assert.equal(changeOf({ ...done, owed: null }, cron, facts({ wall: at - 2 * HOUR })), null);
  const wrong = made(done, cron, { wall: at + 9 * 365 * 24 * HOUR });
  assert.equal(changeOf(wrong, cron, facts({ wall: noon })), 'back');
  assert.equal(made(wrong, cron, { wall: noon }).next?.due, at);
});

test('jitter is made once for each time that is due, and kept', () => {
  const spread: Schedule = { ...cron, jitter: 10 * MINUTE };
  const { next } = made(null, spread, { wall: noon });
  assert.equal((next?.at ?? 0) - (next?.due ?? 0), 5 * MINUTE);
});

test('another schedule begins anew, and no run earlier than the one before or it allows', () => {
  const record = made(made(null, every, { now: 0 }), every, { now: 0 });
  const longer: Schedule = { ...every, every: HOUR };
  const shorter: Schedule = { ...every, every: MINUTE };
  assert.equal(made(record, longer, { now: MINUTE }).next?.due, 15 * MINUTE);
  assert.equal(made(record, shorter, { now: MINUTE }).next?.due, 2 * MINUTE);
  assert.equal(made(record, cron, { now: MINUTE, wall: noon }).next?.due, Date.UTC(2026, 5, 2, 3, 30));
  assert.equal(made(null, every, { highest: 7 }).serial, 7, 'numbers of runs are not used twice');
});

test('the hour that is there twice runs once, the one that is not at its end', () => {
  const days = (pattern: string, from: number, count: number): string[] => {
    const all: string[] = [];
    for (let at = from; all.length < count;) {
      at = cronAfter(pattern, 'Europe/Berlin', at) ?? Infinity;
      all.push(new Date(at).toISOString());
    }
    return all;
  };
  assert.deepEqual(days('30 2 * * *', Date.UTC(2026, 2, 28), 3), [
    '2026-03-28T01:30:00.000Z',
    '2026-03-29T01:00:00.000Z',
    '2026-03-30T00:30:00.000Z',
  ]);
  assert.deepEqual(days('30 2 * * *', Date.UTC(2026, 9, 24), 3), [
    '2026-10-24T00:30:00.000Z',
    '2026-10-25T00:30:00.000Z',
    '2026-10-26T01:30:00.000Z',
  ]);
});

test('zones are those of Node: a host without zoneinfo has them as well', () => {
  const empty = mkdtempSync(join(tmpdir(), 'zones-'));
  try {
    const script = `import { cronAfter } from '${join(import.meta.dirname, '../../../state/schema/cron.ts')}';
      process.stdout.write(new Date(cronAfter('30 2 * * *', 'Europe/Berlin', ${Date.UTC(2026, 2, 28, 12)})).toISOString());`;
    const env = { ...process.env, TZDIR: empty, TZ: '' };
    const text = execFileSync(process.execPath, ['--input-type=module', '-e', script], { env, encoding: 'utf8' });
    assert.equal(text, '2026-03-29T01:00:00.000Z');
  } finally {
    rmSync(empty, { recursive: true });
  }
});

test('a schedule that can never be is an error of the document, where it stands', () => {
  const good = { kind: 'cron', cron: '30 3 * * *', zone: 'Europe/Berlin', jitter: 300_000, missed: 'skip' };
  assert.deepEqual(read('{ cron: "30 3 * * *", zone: Europe/Berlin, jitter: 5m, missed: skip }'), {
    schedule: good,
    policy: 'never',
  });
  assert.match(String(read('{ cron: "0 0 30 2 *" }')), /^4:23 0 0 30 2 \* is never due: there is no such date/);
  assert.match(String(read('{ cron: "61 * * * *" }')), /^4:23 Invalid value for minute: 61/);
  assert.match(String(read('{ cron: "* * * * * *" }')), /^4:23 /);
  assert.match(String(read('{ cron: "@daily", zone: Mars/Olympus }')), /^4:39 Mars\/Olympus is no time zone/);
  assert.match(String(read('{ every: 15m, zone: UTC }')), /^4:35 a zone is for cron/);
  assert.match(String(read('{ every: 15m, cron: "@daily" }')), /^4:35 every or cron is expected, not both/);
  assert.match(String(read('{ every: 1m, jitter: 2m }')), /^4:36 jitter must not be longer than every/);
  assert.match(String(read('{ every: 10ms }')), /^4:24 from 1000ms to 366d/);
  assert.match(String(read('{ jitter: 1m }')), /^4:15 every or cron is expected/);
  assert.match(String(read('{ every: 15m }', '    restart: { policy: always }\n')), /^5:24 what has a schedule/);
  assert.match(String(read('{ every: 15m }', '    run: 3\n')), /^5:5 what has a schedule/);
});
