// Metrics of a runtime, judged and scraped by a real Prometheus.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { northstate } from '../../support/command.ts';
import { patience } from '../../support/patience.ts';
import { probePackage } from '../../support/packages.ts';
import { running } from '../../support/scenario.ts';
import { asleep } from '../../support/sleeper.ts';
import { documentOf, startDaemon, type Daemon } from '../../support/test-daemon.ts';

const programs = join(import.meta.dirname, '../../../.build/prometheus/usr/bin');
const directory = mkdtempSync(join(tmpdir(), 'northstate-metrics-'));
const port = await freePort();
let daemon: Daemon;

before(async () => {
  const rates = ['read_bps', 'read_iops', 'write_bps', 'write_iops'].map((each) => `throttle_${each}_device: []`);
  const sections = `memory: { memory_hard_limit: 50000000 }, blkio: { ${rates.join(', ')}, weight_device: [] }`;
  const app = await probePackage({ name: 'app', fields: `cgroups: { ${sections} }` });
  const failing = await probePackage({ name: 'failing', args: ['exit', '3'] });
  daemon = await startDaemon({
    packages: [app, failing],
    document: (packages) =>
      documentOf(packages, 'app: { state: running }', 'failing: { state: running, restart: { policy: never } }'),
    configuration: `metrics: { listen: "tcp://127.0.0.1:${port}" }\naccounting: true\nsleep: { after: 200ms }\n`,
  });
  await running(daemon, 'app');
  await daemon.untilContainer('failing', 'has ended', ({ phase }) => phase === 'Exited');
});
after(async () => {
  await daemon[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true });
});

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port: found } = probe.address() as { port: number };
  probe.close();
  await once(probe, 'close');
  return found;
}

async function scraped(accept: string): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}/metrics`, { headers: { accept } });
  assert.equal(response.status, 200);
  return await response.text();
}

/** The value of the one series that begins so. */
function valueOf(text: string, series: string): number {
  const found = text.split('\n').filter((line) => line.startsWith(`${series} `));
  assert.equal(found.length, 1, `${series}: ${text}`);
  return Number(found[0]?.slice(series.length + 1));
}

test('the command line prints what promtool finds no fault with', async () => {
  const { stdout, code, stderr } = await daemon.run('metrics', '-o', 'prometheus');
  assert.equal(code, 0, stderr);
  const { status, stderr: faults } = spawnSync(join(programs, 'promtool'), ['check', 'metrics'], { input: stdout });
  assert.equal(faults.toString(), '');
  assert.equal(status, 0);
  assert.equal(valueOf(stdout, 'northstate_container_phase{container="app",northstate_container_phase="Running"}'), 1);
  assert.equal(valueOf(stdout, 'northstate_container_last_exit_code{container="failing"}'), 3);
  assert.equal(valueOf(stdout, 'northstate_container_restarts_total{container="app"}'), 0);
  assert.ok(valueOf(stdout, 'northstate_container_memory_usage_bytes{container="app"}') > 0);
  assert.ok(valueOf(stdout, 'northstate_container_cpu_seconds_total{container="app"}') > 0);
  assert.ok(Math.abs(valueOf(stdout, 'northstate_container_memory_limit_bytes{container="app"}') - 50_000_000) < 4096);
  assert.equal(valueOf(stdout, 'northstate_converged'), 1);
});

test('top measures what containers take: JSON where no terminal is, a table where one is', async () => {
  const { stdout, code, stderr } = await daemon.run('top', '--interval', '200ms');
  assert.equal(code, 0, stderr);
  const taken = JSON.parse(stdout) as Record<string, { phase: string; cpu: number | null; memoryBytes: number | null }>;
  assert.deepEqual([taken['app']?.phase, typeof taken['app']?.cpu], ['Running', 'number']);
  assert.ok((taken['app']?.memoryBytes ?? 0) > 0);
  const shown = spawn('script', ['-qec', `${northstate} top --interval 200ms`, '/dev/null'], {
    env: { ...process.env, NORTHSTATE_CONSOLE: daemon.console },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let table = '';
  for await (const piece of shown.stdout.setEncoding('utf8')) {
    table += piece as string;
    if (/app +Running +\d+\.\d%/.test(table)) shown.kill('SIGTERM');
  }
  assert.match(table, /app +Running +\d+\.\d%/);
});

test('a scrape while the reconciler sleeps is answered, and it sleeps again', async () => {
  daemon.unwatch();
  await asleep(daemon);
  const text = await scraped('application/openmetrics-text;version=1.0.0');
  assert.match(text, /# EOF\n$/);
  assert.ok(valueOf(text, 'northstate_sleeps_total') >= 1);
  assert.match(await scraped('text/plain'), /^# TYPE northstate_build_info gauge$/m);
  await asleep(daemon);
  const missing = await fetch(`http://127.0.0.1:${port}/`);
  assert.equal(missing.status, 404);
  await missing.body?.cancel();
});

/** What a panel of the dashboard asks, as Grafana sends it when all devices are shown. */
interface Panel {
  readonly id: number;
  readonly title: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets: readonly { readonly expr: string }[];
}

const dashboard = JSON.parse(
  readFileSync(join(import.meta.dirname, '../../../examples/metrics/dashboard.json'), 'utf8'),
) as {
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly { readonly query: string }[] };
};

test('a Prometheus scrapes it, and everything that the dashboard asks has an answer', async () => {
  const file = join(directory, 'prometheus.yml');
  const own = await freePort();
  const job = `{ job_name: device, scrape_interval: 1s, static_configs: [{ targets: ["127.0.0.1:${port}"] }] }`;
  writeFileSync(file, `scrape_configs: [${job}]\n`);
  const prometheus = spawn(
    join(programs, 'prometheus'),
    [`--config.file=${file}`, `--storage.tsdb.path=${directory}/data`, `--web.listen-address=127.0.0.1:${own}`],
    { stdio: 'ignore' },
  );
  const ask = async (query: string): Promise<string> => {
    const url = `http://127.0.0.1:${own}/api/v1/query?query=${encodeURIComponent(query)}`;
    const answer = await fetch(url).catch(() => null);
    return answer === null ? '' : await answer.text();
  };
  const until = performance.now() + patience;
  const answered = async (query: string, wanted: string): Promise<void> => {
    for (;;) {
      const found = await ask(query);
      if (found.includes(wanted)) return;
      assert.ok(performance.now() < until, `${query}: ${found}`);
      await delay(200);
    }
  };
  try {
    await answered('northstate_container_phase{northstate_container_phase="Running"} == 1', '"container":"app"');
    const [, labels = ''] = /^label_values\((\w+), instance\)$/.exec(dashboard.templating.list[1]?.query ?? '') ?? [];
    await answered(labels, `"instance":"127.0.0.1:${port}"`);
    for (const { targets } of dashboard.panels)
      for (const { expr } of targets)
        await answered(expr.replaceAll('$device', '.*').replaceAll('$__rate_interval', '10s'), '"value":[');
  } finally {
    prometheus.kill('SIGKILL');
    await once(prometheus, 'exit');
  }
});

test('the panels of the dashboard lie beside each other', () => {
  const taken = new Map<string, string>();
  for (const { title, gridPos } of dashboard.panels) {
    const { x, y, w, h } = gridPos;
    assert.ok(x >= 0 && w > 0 && x + w <= 24, title);
    for (let column = x; column < x + w; column++)
      for (let line = y; line < y + h; line++) {
        assert.equal(taken.get(`${column} ${line}`), undefined, `${title} lies on another`);
        taken.set(`${column} ${line}`, title);
      }
  }
  assert.equal(new Set(dashboard.panels.map(({ id }) => id)).size, dashboard.panels.length);
});
