// A boot plan counts under the configuration and the document that it was made of, and under no other.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { test } from 'node:test';
import { configurationOf, readSource } from '../../../src/config/read-configuration.ts';
import { keepSummary, summaryHead } from '../../../src/config/summary.ts';
import { fresh, openStage } from '../../support/boot-player.ts';
import { patience } from '../../support/patience.ts';

test('a configuration or a document that was edited since is never overlooked', async () => {
  await using stage = await openStage();
  const { path, plan } = stage;
  await stage.write(plan);
  const [config, document] = [path('config.yaml'), path('desired.yaml')];
  const [text, desired] = [readFileSync(config, 'utf8'), readFileSync(document, 'utf8')];
  const { atimeMs, mtimeMs } = statSync(config);
  const replace = (file: string, by: string): void => {
    writeFileSync(`${file}.next`, by);
    renameSync(`${file}.next`, file);
  };
  writeFileSync(path('other.yaml'), `${text}pids: 12\n`);
  const other = await readSource(path('other.yaml'));
  await keepSummary(other, await configurationOf(other));
  const ways: readonly (readonly [string, () => void, ...string[]])[] = [
    ['a comment', () => writeFileSync(config, '# edited\n', { flag: 'a' })],
    ['a line more', () => writeFileSync(config, '\n', { flag: 'a' })],
    ['cut short', () => writeFileSync(config, text.slice(0, -1))],
    ['emptied', () => writeFileSync(config, '')],
    ['gone', () => rmSync(config)],
    [
      'as long, and with the time of before',
      () => {
        writeFileSync(config, text.replace('runDir', 'rundir'));
        utimesSync(config, atimeMs / 1000, mtimeMs / 1000);
      },
    ],
    ['another file renamed over it', () => replace(config, `${text}pids: 12\n`)],
    [
      'a link to another',
      () => {
        rmSync(config);
        symlinkSync(path('other.yaml'), config);
      },
    ],
    [
      'the summary of another beside it',
      () => {
        copyFileSync(path('other.yaml.summary'), path('config.yaml.summary'));
        writeFileSync(config, `${text}pids: 12\n`);
      },
    ],
    ['another document by the command line', () => undefined, '--desired', path('other.yaml')],
    ['another stateDir by the command line', () => undefined, '--state-dir', path('elsewhere')],
    ['the document', () => writeFileSync(document, '# edited\n', { flag: 'a' })],
    ['another document renamed over it', () => replace(document, `${desired}containers: {}\n`)],
    ['no document', () => rmSync(document)],
  ];
  const kept = readFileSync(path('config.yaml.summary'));
  for (const [way, edit, ...more] of ways) {
    fresh(stage);
    edit();
    const report = stage.play(...more);
    assert.ok(report === null || report.refused !== null, way);
    assert.ok(!stage.played(), way);
    for (const [file, content] of [[config, text] as const, [document, desired] as const]) {
      rmSync(file, { force: true });
      writeFileSync(file, content);
    }
    writeFileSync(path('config.yaml.summary'), kept);
  }
  fresh(stage);
  assert.equal(stage.play()?.refused, null, 'the same bytes in a new file are the same');
  assert.ok(stage.played());
});

test('a directory that another launcher has keeps a plan from being played', async () => {
  await using stage = await openStage();
  const { path } = stage;
  await stage.write(stage.plan);
  const holder = spawn('flock', ['--no-fork', path('state'), 'sleep', '600'], { stdio: 'ignore' });
  const late = performance.now() + patience;
  const isHeld = (): boolean => spawnSync('flock', ['--nonblock', path('state'), 'true']).status !== 0;
  while (!isHeld() && performance.now() < late);
  assert.equal(stage.play(), null);
  assert.ok(!stage.played());
  holder.kill('SIGKILL');
  await once(holder, 'exit');
});

test('where documents must be signed no plan is played, unless the configuration trusts it', async () => {
  await using stage = await openStage();
  const { path, plan } = stage;
  const text = readFileSync(path('config.yaml'), 'utf8');
  for (const [more, isPlayed] of [
    ['documentKeys: [/etc/keys/documents.pub]\n', false],
    ['documentKeys: [/etc/keys/documents.pub]\nbootPlan: trusted\n', true],
    ['bootPlan: never\n', false],
  ] as const) {
    fresh(stage);
    writeFileSync(path('config.yaml'), text + more);
    const source = await readSource(path('config.yaml'));
    await keepSummary(source, await configurationOf(source));
    await stage.write({ ...plan, source: summaryHead(source) });
    assert.equal(stage.play()?.refused ?? null, null, more);
    assert.equal(stage.played(), isPlayed, more);
  }
});

test('where /etc takes no writes the summary in stateDir counts, for exactly this configuration', async () => {
  await using stage = await openStage();
  const { path, plan } = stage;
  const text = readFileSync(path('config.yaml'), 'utf8');
  rmSync(path('config.yaml.summary'));
  mkdirSync(path('config.yaml.summary'));
  const named = `stateDir: ${path('state')}`;
  for (const line of [
    named,
    `stateDir:\t"${path('state')}" # here`,
    `stateDir: '${path('state')}'`,
    `${named} # here`,
  ]) {
    fresh(stage);
    writeFileSync(path('config.yaml'), text.replace(named, line));
    const source = await readSource(path('config.yaml'));
    await stage.write({ ...plan, source: summaryHead(source) });
    rmSync(path('state/configuration.summary'), { force: true });
    assert.equal(stage.play(), null, 'nobody has summed it up');
    await keepSummary(source, await configurationOf(source));
    fresh(stage);
    assert.equal(stage.play()?.refused, null, line);
    assert.ok(stage.played());
    fresh(stage);
    writeFileSync(path('config.yaml'), '# edited\n', { flag: 'a' });
    assert.equal(stage.play(), null);
    chmodSync(path('state/configuration.summary'), 0o622);
    writeFileSync(path('config.yaml'), text.replace(named, line));
    assert.equal(stage.play(), null, 'others may write it');
    assert.ok(!stage.played());
  }
});
