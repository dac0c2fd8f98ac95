import assert from 'node:assert/strict';
import { test } from 'node:test';
import { trialStatus } from '../../../../controllers/status/trial-status.ts';
import { activate, stage } from '../../../../state/trial/transitions.ts';
import { stateOf } from '../../../support/command-state.ts';

test('the end of a trial keeps its text while the clocks say the same: what changes nothing is no change of the status', () => {
  const terms = { confirm: 'manual', soak: 0, within: 60_000, boots: 3 } as const;
  const now = { boot: 'this', at: 1000, time: 5000 };
  const record = activate(stage(null, { generation: 2, confirmed: 1, terms }, now), ['app'], [], now);
  assert.ok(record !== null);
  const trial = { record, waits: null, lacking: [], target: [], before: new Map() };
  const at = (offset: number) => (boot: number) => new Date(1_000_000 + boot + offset).toISOString();
  const state = { ...stateOf({}), trial };
  const first = trialStatus(state, at(0));
  const kept = { ...state, status: { ...state.status, trial: first } };
  assert.deepEqual(trialStatus(kept, at(3)), first);
  assert.notEqual(trialStatus(kept, at(3000))?.until, first?.until, 'a clock that was set is told');
});
