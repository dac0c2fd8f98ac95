// Under which conditions a boot plan counts, each with what breaks it; what becomes of a plan that is none.
import assert from 'node:assert/strict';
import { chmodSync, chownSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { writeAttribute } from '../../../native/xattr.ts';
import { encodePlan, mountBlank, type BootPlan, type Deed } from '../../../native/wire/boot-plan.ts';
import { fresh, openStage } from '../../support/boot-player.ts';

test('a plan that fits is played, once in a boot', async () => {
  await using stage = await openStage();
  await stage.write(stage.plan);
  assert.deepEqual(stage.play()?.units, [['one', null, false]]);
  assert.ok(stage.played());
  rmSync(stage.path('mark'), { recursive: true });
  assert.equal(stage.play(), null, 'the same boot');
  assert.ok(!stage.played());
  writeFileSync(stage.path('run/boot'), '00000000-0000-0000-0000-000000000000');
  assert.equal(stage.play()?.refused, null, 'another boot');
  assert.ok(stage.played());
});

test('each condition that does not hold keeps a plan from being played, and is named', async () => {
  await using stage = await openStage();
  const { path, plan } = stage;
  const source = Buffer.from(plan.source);
  const otherSource = Buffer.from(source.toString('latin1').replace('stateDir', 'stateDix'), 'latin1');
  const changed: readonly (readonly [RegExp, Partial<BootPlan>])[] = [
    [/^version: it was made by version 9\.9\.9/, { runtime: '9.9.9' }],
    [/^kernel: it was made under 5\.9/, { kernel: '5.9' }],
    [/^kernel: /, { machine: 'riscv64' }],
    [/^configuration: /, { source: otherSource }],
    [/^document: \S+desired\.yaml says something else/, { document: { ...plan.document, text: Buffer.from('x\n') } }],
    [/^document: /, { document: { ...plan.document, text: null } }],
    [/^document: /, { document: { ...plan.document, path: path('other.yaml') } }],
    [/^generation: 7 is stored, and it was made of 6/, { generation: 6 }],
  ];
  for (const [refused, change] of changed) {
    fresh(stage);
    await stage.write({ ...plan, ...change });
    assert.match(stage.play()?.refused ?? '', refused);
    assert.ok(!stage.played(), String(refused));
  }
});

test('what others than root may write is not believed', async () => {
  await using stage = await openStage();
  const { path } = stage;
  await stage.write(stage.plan);
  const spoil: readonly (readonly [string, () => void, () => void])[] = [
    ['plan writable', () => chmodSync(path('state/boot.plan'), 0o620), () => chmodSync(path('state/boot.plan'), 0o600)],
    [
      'plan of others',
      () => chownSync(path('state/boot.plan'), 1000, 0),
      () => chownSync(path('state/boot.plan'), 0, 0),
    ],
    ['state writable', () => chmodSync(path('state'), 0o777), () => chmodSync(path('state'), 0o700)],
    ['config writable', () => chmodSync(path('config.yaml'), 0o666), () => chmodSync(path('config.yaml'), 0o644)],
    ['document writable', () => chmodSync(path('desired.yaml'), 0o666), () => chmodSync(path('desired.yaml'), 0o644)],
    [
      'summary writable',
      () => chmodSync(path('config.yaml.summary'), 0o622),
      () => chmodSync(path('config.yaml.summary'), 0o600),
    ],
    ['directory of others', () => chownSync(stage.directory, 1000, 0), () => chownSync(stage.directory, 0, 0)],
  ];
  for (const [what, break_, mend] of spoil) {
    fresh(stage);
    break_();
    stage.play();
    mend();
    assert.ok(!stage.played(), what);
  }
  fresh(stage);
  assert.equal(stage.play()?.refused, null);
  assert.ok(stage.played());
});

test('nothing runs before a reset that is asked for', async () => {
  await using stage = await openStage();
  await stage.write(stage.plan);
  writeFileSync(stage.path('state/reset'), 'all\n');
  assert.match(stage.play()?.refused ?? '', /^reset: \S+state\/reset asks for one$/);
  assert.ok(!stage.played());
});

test('a host that is not as it was is a condition of a plan or of a unit', async () => {
  await using stage = await openStage();
  const { path, plan } = stage;
  writeFileSync(path('said'), 'a');
  const [, one] = plan.units;
  // The tree of a system that has delegated our group to us.
  const own = /^0::(.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8'))?.[1] ?? '';
  mkdirSync(path(`tree${own}`), { recursive: true });
  writeAttribute(path(`tree${own}`), 'trusted.delegate', Buffer.from('1'));
  const host: readonly Deed[] = [
    { deed: 'expect', path: path('said'), bytes: Buffer.from('b') },
    { deed: 'expect', path: path('none'), bytes: Buffer.from('') },
    { deed: 'absent', path: path('said') },
    { deed: 'hierarchy', path: stage.directory, version: 2 },
    { deed: 'delegated', mount: '/sys/fs/cgroup', group: 'no/such/group', leaf: 'leaf' },
    { deed: 'undelegated', mount: path('tree') },
  ];
  for (const deed of host) {
    fresh(stage);
    await stage.write({ ...plan, units: [{ name: 'the runtime', needs: [], deeds: [deed] }, one!] });
    assert.match(stage.play()?.refused ?? '', /^host: /, JSON.stringify(deed));
    assert.ok(!stage.played());

    fresh(stage);
    await stage.write({
      ...plan,
      units: [{ name: 'the runtime', needs: [], deeds: [] }, { name: 'x', needs: [0], deeds: [deed] }, one!],
    });
    const report = stage.play();
    assert.equal(report?.refused, null);
    assert.match(report.units.find(([name]) => name === 'x')?.[1] ?? '', /^host: /);
    assert.ok(stage.played(), 'the others are played');
  }
});

test('a package file that is not the one that was verified is left, and what needs it', async () => {
  await using stage = await openStage();
  const { path, plan } = stage;
  writeFileSync(path('package'), 'bytes');
  const { dev, ino, size, uid, mode, ctimeNs } = statSync(path('package'), { bigint: true });
  const good: Extract<Deed, { deed: 'file' }> = {
    ...{ deed: 'file', slot: 0, path: path('package'), device: dev, inode: ino, size, owner: uid, mode },
    ...{ seconds: ctimeNs / 1_000_000_000n, nanoseconds: ctimeNs % 1_000_000_000n },
  };
  const mark: Deed = { deed: 'mkdir', path: path('mark'), mode: 0o700 };
  const units = (...files: readonly Deed[]): BootPlan['units'] => [
    { name: 'the runtime', needs: [], deeds: [] },
    { name: 'image', needs: [0], deeds: files },
    { name: 'user', needs: [0, 1], deeds: [mark] },
  ];
  const whys = async (...files: readonly Deed[]): Promise<readonly (string | null)[] | undefined> => {
    fresh(stage);
    await stage.write({ ...plan, units: units(...files) });
    return stage.play()?.units.map(([, why]) => why);
  };
  assert.deepEqual(await whys(good), [null, null]);
  assert.ok(stage.played());
  // A boot may number the devices otherwise, but one for one.
  assert.deepEqual(await whys({ ...good, device: 12345 }), [null, null]);
  assert.match((await whys({ ...good, device: 1 }, { ...good, device: 2 }))?.[0] ?? '', /another file/);
  const bad: readonly (readonly [RegExp, Partial<typeof good>])[] = [
    [/another file/, { inode: ino + 1n }],
    [/has changed/, { size: size + 1n }],
    [/has changed/, { seconds: 1 }],
    [/has changed/, { nanoseconds: 1 }],
    [/another owner or mode/, { owner: 1 }],
    [/another owner or mode/, { mode: 0o100777 }],
    [/No such file/, { path: path('gone') }],
    [/no regular file/, { path: stage.directory }],
  ];
  for (const [why, change] of bad) {
    const [image, user] = (await whys({ ...good, ...change })) ?? [];
    assert.match(image ?? '', why);
    assert.equal(user, 'image was left');
    assert.ok(!stage.played());
  }
});

test('a plan that is torn, foreign or absurd costs one message, and nothing of it is done', async () => {
  await using stage = await openStage();
  const { plan, path } = stage;
  const whole = encodePlan(plan);
  const mark: Deed = { deed: 'mkdir', path: path('mark'), mode: 0o700 };
  const flipped = Uint8Array.from(whole, (byte, index) => (index === whole.length >> 1 ? byte ^ 1 : byte));
  const zeroed = Uint8Array.from(whole, (byte, index) => (index > whole.length / 2 ? 0 : byte));
  const pieces = [0, 1, 19, 23, 30, whole.length >> 1, whole.length - 1].map((size) => whole.subarray(0, size));
  for (const bytes of [...pieces, flipped, zeroed, Buffer.from('#!/bin/sh\n'), Buffer.alloc(1 << 16, 0xff)]) {
    fresh(stage);
    await stage.write(bytes);
    assert.match(stage.play()?.refused ?? '', /no boot plan|torn/, `${bytes.length} bytes`);
    assert.ok(!stage.played());
  }
  const absurd: readonly BootPlan['units'][] = [
    [{ name: 'a', needs: [], deeds: [mark, { deed: 'mkdir', path: 'not/absolute', mode: 0 }] }],
    [{ name: 'a', needs: [], deeds: [mark, { deed: 'open', slot: 256, path: '/', way: 'read' }] }],
    [{ name: 'a', needs: [0], deeds: [mark] }],
    [{ name: '', needs: [], deeds: [mark] }],
    [{ name: 'a', needs: [], deeds: [mark, { deed: 'mkdir', path: `/${'x'.repeat(5000)}`, mode: 0 }] }],
  ];
  for (const units of absurd) {
    fresh(stage);
    await stage.write({ ...plan, units });
    assert.match(stage.play()?.refused ?? '', /^something in it cannot be$/);
    assert.ok(!stage.played());
  }
  fresh(stage);
  rmSync(path('state/boot.plan'));
  symlinkSync(path('desired.yaml'), path('state/boot.plan'));
  assert.match(stage.play()?.refused ?? '', /^owner: /);
  rmSync(path('state/boot.plan'));
  mkdirSync(path('state/boot.plan'));
  fresh(stage);
  assert.match(stage.play()?.refused ?? '', /^owner: /);
});

test('a deed that cannot be done leaves its unit, and the launcher refuses what it does not know', async () => {
  await using stage = await openStage();
  const { path } = stage;
  const none = new Uint8Array();
  const request = (type: number): Deed => {
    return { deed: 'request', type, slots: [], before: none, recorded: false, record: '', after: none };
  };
  const above = (directory: string, file: string): Extract<Deed, { deed: 'above' }> => {
    return { deed: 'above', path: directory, cpuset: false, memory: false, file, bytes: Buffer.from('made\n') };
  };
  const cannot: readonly (readonly [RegExp, Deed])[] = [
    [/mkdir .*: No such file/, { deed: 'mkdir', path: path('a/b'), mode: 0 }],
    [/write .*: No such file/, { deed: 'write', path: path('none'), text: '' }],
    [/Not a directory/, { deed: 'open', slot: 0, path: path('config.yaml'), way: 'directory' }],
    [/a loop device|Bad file/, { deed: 'attach', slot: 1, from: 0, offset: 0, size: 0, mark: 'x' }],
    [/a tree: Bad file/, { deed: 'tree-of', slot: 1, from: 0, recursive: false, attributes: 0 }],
    [/No such file/, { deed: 'tree', slot: 1, path: path('none'), recursive: false, attributes: 0 }],
    [/another type/, request(15)],
    [/mkdir .*: No such file/, above(path('a/b'), path('lines'))],
    [/lines: No such file/, above(path('made'), path('a/lines'))],
    [/cgroup.clone_children: No such file/, { ...above(path('made'), path('lines')), cpuset: true }],
    [/No such file/, { deed: 'append', path: path('a/lines'), bytes: none }],
    [/write .*put.new/, { deed: 'put', path: path('put'), text: mountBlank(path('none')) }],
    [/write .*put.new/, { deed: 'put', path: path('put'), text: '\u0005/proc' }],
    [/write .*put.new/, { deed: 'put', path: path('put'), text: mountBlank('/x'.repeat(4000)) }],
  ];
  for (const [why, deed] of cannot) {
    fresh(stage);
    await stage.write(stage.withDeeds(deed));
    assert.match(stage.play()?.units[0]?.[1] ?? '', why);
  }
});

test('what lies above groups is noted only when it was made, and a mount is told by its id', async () => {
  await using stage = await openStage();
  const { path } = stage;
  const above: Deed = {
    ...{ deed: 'above', path: path('made'), cpuset: false, memory: true },
    ...{ file: path('lines'), bytes: Buffer.from('made\n') },
  };
  const line: Deed = { deed: 'append', path: path('lines'), bytes: Buffer.from('a name\n') };
  const put: Deed = { deed: 'put', path: path('put'), text: `<${mountBlank('/proc')}|${mountBlank('/proc')}>` };
  await stage.write(stage.withDeeds(above, line, above, put));
  assert.deepEqual(stage.play()?.units, [['one', null, false]]);
  assert.equal(readFileSync(path('lines'), 'utf8'), 'made\na name\n');
  assert.match(readFileSync(path('put'), 'utf8'), /^<(\d+)\|\1>$/);
});
