import assert from 'node:assert/strict';
import { test } from 'node:test';
import { strictest, type TrialTerms } from '../../../../state/trial/terms.ts';
import {
  activate,
  atStart,
  confirm,
  finishRevert,
  judgeTrial,
  revert,
  stage,
  type Health,
} from '../../../../state/trial/transitions.ts';
import { decodeTrial, encodeTrial, lastConfirmed, type TrialRecord } from '../../../../state/trial/trial-record.ts';

const terms: TrialTerms = { confirm: 'health', soak: 60_000, within: 600_000, boots: 2 };
const first = { boot: 'first', at: 1000, time: 5000 };
const cause = { reason: 'NotHealthy', message: 'app ended', time: 1, entries: ['app'] } as const;
const well: Health = { failed: null, entries: [], missing: null, since: 2000 };

function active(fields: Partial<TrialRecord> = {}): TrialRecord {
  const staged = stage(null, { generation: 8, confirmed: 7, terms }, first);
  const found = activate(staged, ['app'], ['other'], first);
  assert(found !== null);
  return { ...found, ...fields };
}

test('the stricter of all that ask for a trial counts in each point, so that no document disarms itself', () => {
  assert.equal(strictest([null, null]), null);
  const lax: TrialTerms = { confirm: 'none', soak: 0, within: 1_000_000, boots: 9 };
  assert.deepEqual(strictest([lax, null, terms]), terms);
  assert.equal(strictest([{ ...lax, confirm: 'manual' }, terms])?.confirm, 'manual');
});

test('a soak that one asks for can be had within the time of another', () => {
  const long: TrialTerms = { ...terms, soak: 900_000, within: 1_800_000 };
  assert.deepEqual(strictest([terms, long]), { ...terms, soak: 900_000, within: 1_800_000 });
});

test('a trial is staged, active, confirmed, and asks for what it changed and what was ready before', () => {
  const record = active();
  assert.deepEqual(
    [record.state, record.confirmed, record.asked, record.before],
    ['active', 7, ['app', 'other'], ['other']],
  );
  assert.equal(confirm(record)?.state, 'confirmed');
  assert.equal(confirm(stage(null, { generation: 8, confirmed: 7, terms }, first)), null);
});

test('what supersedes a document on trial keeps target, boots and what was ready before the first', () => {
  const next = stage(active({ boots: 2 }), { generation: 9, confirmed: 8, terms }, { ...first, at: 9000 });
  assert.deepEqual([next.confirmed, next.boots, next.since, next.before], [7, 2, 5000, ['other']]);
  const again = activate(next, ['app'], [], first);
  assert.deepEqual(again?.asked, ['app', 'other']);
});

test('what comes while another goes back is a trial of its own, of the same target', () => {
  const back = revert(active({ boots: 2 }), cause);
  const next = stage(back, { generation: 9, confirmed: 8, terms }, first);
  assert.deepEqual([next.state, next.confirmed, next.boots, next.cause], ['staged', 7, 0, null]);
});

test('the first cause of a revert stays the cause', () => {
  const back = revert(active(), cause);
  assert(back !== null);
  assert.equal(revert(back, { ...cause, message: 'later' })?.cause?.message, 'app ended');
  const done = finishRevert(back, []);
  assert.equal(done?.cause?.message, 'app ended');
  assert.equal(revert(done, cause), null);
});

test('the mark of a trial goes only when the way back is done', () => {
  assert.equal(finishRevert(active(), []), null);
  assert.equal(lastConfirmed(revert(active(), cause), 8), 7);
  const back = revert(active(), cause);
  assert(back !== null);
  assert.equal(lastConfirmed(finishRevert(back, []), 9), 9);
  assert.equal(lastConfirmed(active(), 8), 7);
  assert.equal(lastConfirmed(null, 8), 8);
});

test('a boot is counted once, and after so many unconfirmed ones it goes back', () => {
  const same = atStart(active(), 8, { ...first, at: 90_000 });
  assert.deepEqual([same.next, same.upTo], [active(), 8]);
  const second = atStart(active(), 8, { boot: 'second', at: 10, time: 6000 });
  assert.deepEqual([second.next?.boots, second.next?.boot, second.upTo], [1, { id: 'second', at: 10 }, 8]);
  const again = atStart(second.next, 8, { boot: 'second', at: 500, time: 7000 });
  assert.equal(again.next, second.next);
  const third = atStart(second.next, 8, { boot: 'third', at: 10, time: 8000 });
  assert.deepEqual([third.next?.boots, third.next?.state, third.upTo], [2, 'active', 8]);
  const fourth = atStart(third.next, 8, { boot: 'fourth', at: 10, time: 9000 });
  assert.deepEqual([fourth.next?.state, fourth.next?.cause?.reason, fourth.upTo], ['reverting', 'TooManyBoots', 7]);
});

test('a trial of which nothing was stored never began', () => {
  const found = atStart(active(), 7, { boot: 'second', at: 10, time: 6000 });
  assert.deepEqual([found.next, found.upTo], [null, 7]);
});

test('what is staged or goes back is not put into force by a start, and no boot is counted for it', () => {
  const staged = stage(null, { generation: 8, confirmed: 7, terms }, first);
  for (const record of [staged, revert(active(), cause)]) {
    const found = atStart(record, 8, { boot: 'second', at: 10, time: 6000 });
    assert.deepEqual([found.next, found.upTo], [record, 7]);
  }
});

test('health for the whole soak confirms, and not before', () => {
  assert.deepEqual(judgeTrial(active(), well, 61_999), {
    next: 'wait',
    until: 62_000,
    waits: 'it has not been Ready for 60000 ms',
  });
  assert.equal(judgeTrial(active(), well, 62_000).next, 'confirm');
});

test('a soak that ended before the deadline counts also for who looks late, and one that would end after it does not', () => {
  assert.equal(judgeTrial(active(), { ...well, since: 541_000 }, 700_000).next, 'confirm');
  assert.equal(judgeTrial(active(), { ...well, since: 541_001 }, 700_000).next, 'revert');
});

test('what was Ready before it came has to be so for the soak from then on', () => {
  assert.equal(judgeTrial(active({ boot: { id: 'first', at: 50_000 } }), well, 109_999).next, 'wait');
});

test('what is not confirmed in time goes back, and time counts anew in each boot', () => {
  const sick: Health = { failed: null, entries: ['app'], missing: 'app: Backoff', since: null };
  const late = judgeTrial(active(), sick, 601_000);
  assert.deepEqual([late.next, late.next === 'revert' && late.reason], ['revert', 'NotConfirmed']);
  const rebooted = atStart(active(), 8, { boot: 'second', at: 10, time: 6000 }).next;
  assert(rebooted !== null);
  assert.deepEqual(judgeTrial(rebooted, sick, 600_000), { next: 'wait', until: 600_010, waits: 'app: Backoff' });
});

test('what can never be Ready goes back at once, and says who is to blame', () => {
  const lost: Health = { failed: 'app: Failed', entries: ['app'], missing: 'app: Failed', since: null };
  assert.deepEqual(judgeTrial(active(), lost, 1001), {
    ...{ next: 'revert', reason: 'NotHealthy', message: 'app: Failed', entries: ['app'] },
  });
});

test('manual is confirmed by nobody else, and none at once', () => {
  const manual = active({ terms: { ...terms, confirm: 'manual' } });
  assert.deepEqual(judgeTrial(manual, well, 300_000), {
    next: 'wait',
    until: 601_000,
    waits: 'nobody has confirmed it',
  });
  assert.equal(
    judgeTrial(active({ terms: { ...terms, confirm: 'none' } }), { ...well, since: null }, 1000).next,
    'confirm',
  );
});

test('a record is read as it was written, and anything else is refused', () => {
  const record = active();
  assert.deepEqual(decodeTrial(encodeTrial(record)), record);
  for (const text of ['', '{}', '{"form":2}', JSON.stringify({ ...record, form: 1, boots: 'three' })])
    assert.throws(() => decodeTrial(text));
});
