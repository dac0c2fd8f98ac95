// A long boot plan, and what has changed since it was written beside it.
import assert from 'node:assert/strict';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { encodePlan, type BootPlan, type Unit } from '../../../native/wire/boot-plan.ts';
import { patchOf } from '../../../native/wire/plan-patch.ts';
import { dropPlan, putPlan } from '../../../src/boot/plan-file.ts';
import { fresh, openStage, type Stage } from '../../support/boot-player.ts';

const filler = (count: number): Unit[] =>
  Array.from({ length: count }, (_, index) => ({
    name: `filler-${index}`,
    needs: [0],
    deeds: [{ deed: 'absent', path: `/nowhere/${index}/${'x'.repeat(300)}` }],
  }));

/** As long as one of many containers, with other units behind those. */
function long({ plan }: Stage, more: Partial<BootPlan> = {}, count = 500): BootPlan {
  const [first, ...rest] = plan.units;
  assert.ok(first !== undefined);
  return { ...plan, ...more, units: [first, ...filler(count), ...(more.units ?? rest)] };
}

const patchPath = (stage: Stage): string => stage.path('state/boot.plan-patch');

test('a long plan that changes a little is written once, and played as it is now', async () => {
  await using stage = await openStage();
  const state = stage.path('state');
  const before = long(stage, { generation: 6, units: [] });
  await putPlan(state, encodePlan(before));
  const written = readFileSync(stage.path('state/boot.plan'));
  assert.deepEqual((await readdir(state)).toSorted(), ['boot.plan', 'generations']);
  await putPlan(state, encodePlan(long(stage)));
  assert.deepEqual(readFileSync(stage.path('state/boot.plan')), written);
  assert.ok(readFileSync(patchPath(stage)).length < 1000);
  const played = stage.play();
  assert.equal(played?.refused, null);
  assert.ok(stage.played());
  assert.equal(played.units.length, 501);

  // A patch that is none, or of another plan: what lies there counts by itself, and is of another generation.
  const good = readFileSync(patchPath(stage));
  const spoiled = [
    good.subarray(0, -1),
    Buffer.concat([good, Buffer.from([0])]),
    Buffer.alloc(0),
    Buffer.from(good.map((byte, index) => (index === good.length - 3 ? byte ^ 1 : byte))),
    Buffer.concat([good.subarray(0, 21), Buffer.from([0xff, 0xff, 0xff, 0xff]), good.subarray(25)]),
  ];
  for (const [index, bytes] of spoiled.entries()) {
    fresh(stage);
    writeFileSync(patchPath(stage), bytes);
    assert.match(stage.play()?.refused ?? '', /^generation: 7 is stored, and it was made of 6/, String(index));
    assert.ok(!stage.played());
  }
  // The other way round the plan itself is the one of now.
  await rm(patchPath(stage));
  await putPlan(state, encodePlan(long(stage, {}, 3)));
  fresh(stage);
  writeFileSync(patchPath(stage), good, { mode: 0o600 });
  assert.equal(stage.play()?.refused, null);
  assert.ok(stage.played());

  await dropPlan(state);
  assert.deepEqual((await readdir(state)).toSorted(), ['.lock', 'generations']);
});

test('a patch that others may have written is not believed', async () => {
  await using stage = await openStage();
  await putPlan(stage.path('state'), encodePlan(long(stage, { generation: 6, units: [] })));
  await putPlan(stage.path('state'), encodePlan(long(stage)));
  chmodSync(patchPath(stage), 0o620);
  assert.match(stage.play()?.refused ?? '', /^generation: /);
  assert.ok(!stage.played());
});

test('what changes much is written whole, and what is as it was beside nothing', async () => {
  await using stage = await openStage();
  const state = await mkdtemp(join(tmpdir(), 'northstate-plan-'));
  try {
    const [one, other] = [encodePlan(long(stage)), encodePlan(long(stage, { generation: 8 }))];
    await putPlan(state, one);
    await putPlan(state, other);
    assert.deepEqual((await readdir(state)).toSorted(), ['boot.plan', 'boot.plan-patch']);
    await putPlan(state, one);
    assert.deepEqual(await readdir(state), ['boot.plan']);
    const less = encodePlan(long(stage, {}, 450));
    await putPlan(state, less);
    const all = encodePlan({ ...stage.plan, units: [...stage.plan.units, ...filler(500).toReversed()] });
    await putPlan(state, all);
    const short = encodePlan(stage.plan);
    await putPlan(state, short);
    assert.deepEqual(readFileSync(join(state, 'boot.plan')), Buffer.from(short));
    assert.deepEqual(await readdir(state), ['boot.plan']);
    assert.equal(patchOf(Buffer.from('no plan'), one), null);
    assert.equal(patchOf(one, Buffer.from('no plan')), null);
  } finally {
    await rm(state, { recursive: true });
  }
});
