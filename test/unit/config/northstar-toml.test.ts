// northstar.toml, as Northstar reads it.
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { northstate } from '../cli/command-line.ts';
import { scratchDirectory } from '../../support/console/scratch.ts';
import { ConfigurationError } from '../../../src/config/configuration-error.ts';
import { parseConfiguration } from '../../../src/config/read-configuration.ts';

const required = 'run_dir = "/r"\ndata_dir = "/d"\nsocket_dir = "/s"\ncgroup = "c"\n';
const northstarLimits = {
  tokenValidity: 60_000,
  requestsPerSecond: 1000,
  requestSize: 2 ** 20,
  installSize: 256 * 2 ** 20,
  installStall: 10_000,
  unread: 128 * 1024,
};

async function fixture(name: string): Promise<string> {
  const text = await readFile(new URL(`../../fixtures/configs/${name}.toml`, import.meta.url), 'utf8');
  return text.replaceAll('DIR', '/scratch');
}

test('four fields are enough, and the others are as Northstar has them', async () => {
  const found = await parseConfiguration(required, 'northstar.toml');
  const { runDir, dataDir, socketDir, cgroup, console, containerConsoles, repositories, loopTimeout, debug } = found;
  assert.deepEqual(
    { runDir, dataDir, socketDir, cgroup },
    { runDir: '/r', dataDir: '/d', socketDir: '/s', cgroup: 'c' },
  );
  assert.deepEqual(console, []);
  assert.deepEqual(containerConsoles, { patches: 'boot', limits: northstarLimits });
  assert.deepEqual([repositories, loopTimeout, debug], [[], 10_000, { commands: [] }]);
  assert.deepEqual([found.desired, found.stateDir], ['/d/@northstate/desired.yaml', '/d/@northstate/state']);
  assert.deepEqual(found.log, { level: 'debug', target: 'auto' });
});

test('the console and the repositories of a device are taken over', async () => {
  const { console, repositories, loopTimeout } = await parseConfiguration(await fixture('full'), 'northstar.toml');
  assert.equal(loopTimeout, 5000);
  assert.deepEqual(console, [
    { listen: 'unix:///scratch/console', permissions: 'full', patches: 'boot', limits: northstarLimits },
  ]);
  assert.deepEqual(
    repositories.map(({ id, type, dir, keys, capacity }) => [id, type, dir, keys, capacity.containers, capacity.size]),
    [
      ['system', 'fs', '/scratch/system', [], null, null],
      ['scratch', 'mem', null, [], null, null],
      ['verified', 'mem', null, ['/scratch/fixture.pub'], null, null],
      ['one', 'fs', '/scratch/one', [], 1, null],
      ['tiny', 'mem', null, [], null, 1000],
    ],
  );
});

test('limits, permissions, durations of several parts and debug commands are taken over', async () => {
  const tight = await parseConfiguration(await fixture('tight'), 'northstar.toml');
  assert.deepEqual(tight.console[0]?.limits, {
    tokenValidity: 1000,
    requestsPerSecond: 3,
    requestSize: 1000,
    installSize: 20_000,
    installStall: 1000,
    unread: 128 * 1024,
  });
  const limited = await parseConfiguration(await fixture('limited'), 'northstar.toml');
  assert.deepEqual(limited.console[0]?.permissions, ['ident', 'list', 'start']);
  const text = `${required}notification_buffer_size = 2\nloop_device_timeout = "1min 30s"\n[debug]\ncommands = ["strace -p <PID>"]\n[console.options]\ntoken_validity = "2h"\n`;
  const found = await parseConfiguration(text, 'northstar.toml');
  assert.deepEqual([found.loopTimeout, found.debug.commands], [90_000, ['strace -p <PID>']]);
  assert.deepEqual(
    [found.containerConsoles.limits.tokenValidity, found.containerConsoles.limits.unread],
    [7_200_000, 2048],
  );
});

test('numbers that Northstar takes are taken, and bounded by what there is', async () => {
  const options = 'max_requests_per_sec = 10000000\ntoken_validity = "10years"\nnpk_stream_timeout = "2M 1w"\n';
  const text = `${required}notification_buffer_size = 9007199254740991\nloop_device_timeout = "99999999999s"\n[console.options]\n${options}`;
  const { containerConsoles, loopTimeout } = await parseConfiguration(text, 'northstar.toml');
  const { requestsPerSecond, tokenValidity, installStall, unread } = containerConsoles.limits;
  assert.deepEqual([requestsPerSecond, unread], [1_000_000, 1_000_000 * 1024]);
  // A timer that is set to more rings at once.
  for (const ms of [loopTimeout, tokenValidity, installStall]) assert.equal(ms, 2 ** 31 - 1);
});

const wrong: readonly [title: string, text: string, line: number, column: number, message: RegExp][] = [
  ['an unknown field', `${required}colour = "red"\n`, 5, 1, /the key "colour" is not known here/],
  [
    'an unknown field in a table',
    `${required}[console.options]\n\nspeed = 3\n`,
    7,
    1,
    /console\.options: the key "speed"/,
  ],
  ['a missing field', 'run_dir = "/r"\n', 1, 1, /data_dir: is missing/],
  [
    'a wrong size',
    `${required}[repositories.a]\ntype = "mem"\ncapacity_size = "many"\n`,
    7,
    1,
    /repositories\.a\.capacity_size: must be a size/,
  ],
  [
    'a console that other machines reach',
    `${required}[console.global]\nbind = "tcp://0.0.0.0:4200"\npermissions = "full"\n`,
    6,
    1,
    /other machines could reach it/,
  ],
  [
    'an address that is none',
    `${required}[console.global]\nbind = "localhost"\npermissions = "full"\n`,
    6,
    1,
    /expected/,
  ],
  ['a wrong duration', `${required}loop_device_timeout = "soon"\n`, 5, 1, /must be a duration such as 10s/],
  ['a type of repository that there is not', `${required}[repositories.a]\ntype = "disk"\n`, 6, 1, /must be "mem" or/],
  ['broken TOML', `${required}[console\n`, 5, 9, /./],
  ['a field that stands there twice', `${required}cgroup = "d"\n`, 5, 1, /redefine|already|twice/],
];

for (const [title, text, line, column, message] of wrong) {
  test(`${title} is an error with its place`, async () => {
    await assert.rejects(parseConfiguration(text, '/etc/northstar.toml'), (error) => {
      assert.ok(error instanceof ConfigurationError);
      assert.match(error.message, message);
      assert.deepEqual([error.line, error.column], [line, column], error.message);
      assert.match(error.message, /^configuration \/etc\/northstar\.toml, line \d+, column \d+: /);
      return true;
    });
  });
}

test('what config prints of a northstar.toml is a config.yaml that says the same', async (context) => {
  const directory = await scratchDirectory(context);
  const [toml, yaml] = [join(directory, 'northstar.toml'), join(directory, 'config.yaml')];
  await writeFile(toml, await fixture('tight'));
  const printed = await northstate(context, '', ['config', '--config', toml]);
  assert.equal(printed.code, 0, printed.stderr);
  await writeFile(yaml, printed.stdout);
  const again = await northstate(context, '', ['config', '--config', yaml]);
  assert.equal(again.stdout, printed.stdout);
  const { repositories } = await parseConfiguration(printed.stdout, yaml);
  assert.deepEqual(repositories, (await parseConfiguration(await fixture('tight'), toml)).repositories);
  const json = await northstate(context, '', ['config', '--config', toml, '-o', 'json']);
  assert.equal((JSON.parse(json.stdout) as { cgroup: string }).cgroup, 'fixtures');
});

test('an error of the file as a whole has its place also when the first line is empty', async () => {
  const [error] = await Promise.allSettled([parseConfiguration('\nrun_dir = "/a"\n', 'northstar.toml')]);
  assert.equal(error.status, 'rejected');
  assert.match(String(error.reason), /line 1, column 1: /);
});
