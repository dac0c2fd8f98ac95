// Whether containers are ready and alive, asked of real programs: those that say so, those that answer, hang, and lie.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { ContainerStatus } from '../../../state/status.ts';
import { run } from '../../support/command.ts';
import { probePackage } from '../../support/packages.ts';
import { eventually } from '../../support/sleeper.ts';
import { running, withDaemon } from '../../support/scenario.ts';
import type { Daemon } from '../../support/test-daemon.ts';

const host = ['/bin', '/usr', '/lib', '/lib64'].map((path) => `${path}: { type: bind, host: ${path} }`).join(', ');

/** A package whose application is a line of shell, with the host's programs. */
function shell(name: string, line: string, fields = ''): Promise<string> {
  const mounts = `mounts: { ${host}, /tmp: { type: tmpfs, size: 1MB } }`;
  const args = JSON.stringify(['-c', line]);
  return probePackage({
    name,
    fields: `init: /bin/sh\nargs: ${args}\nenv: { PATH: '/usr/bin:/bin' }\n${mounts}\n${fields}`,
  });
}

const entry = (name: string, fields: string) => `${name}: { state: running, ${fields} }`;
const never = 'restart: { policy: never }';
const ready = ({ conditions }: ContainerStatus) => conditions.find(({ type }) => type === 'Ready');
const isReady = (status: ContainerStatus) => ready(status)?.status === 'True';

/** Resolves when a container has ended for good, with why. */
async function failed(daemon: Daemon, name: string): Promise<readonly [string | undefined, string | undefined]> {
  const status = await daemon.untilContainer(name, 'has failed', ({ phase }) => phase === 'Failed');
  return [ready(status)?.reason, ready(status)?.message];
}

const stays = 'exec sleep 1000';

test('a container says itself that it is ready, how it is, and that it lives', async () => {
  const packages = await Promise.all([
    shell('says', `sleep 0.5; systemd-notify --ready --status="warm now"; ${stays}`),
    shell('shared', `systemd-notify --ready; ${stays}`, 'network: !host'),
    shell('late', stays),
    shell('feeds', `systemd-notify --ready; for i in 1 2 3 4; do systemd-notify WATCHDOG=1; sleep 0.3; done; ${stays}`),
    shell('barred', stays, 'network: !host'),
  ]);
  const entries = [
    entry('says', 'health: { ready: notify, within: 1m }'),
    entry('shared', 'health: { ready: notify }, dependsOn: { says: ready }'),
    entry('late', `health: { ready: notify, within: 300ms }, ${never}`),
    entry('feeds', `health: { ready: notify, watchdog: 1s }, ${never}`),
    entry('barred', 'health: { ready: notify }'),
  ];
  await withDaemon(packages, entries, async (daemon) => {
    const says = await daemon.untilContainer('says', 'is ready', isReady);
    assert.equal((await daemon.untilContainer('says', 'says how it is', ({ says: is }) => is !== '')).says, 'warm now');
    const shared = await daemon.untilContainer('shared', 'is ready', isReady);
    assert.ok(Date.parse(shared.since) >= Date.parse(says.since) + 450, 'it waits for the other to be ready');
    assert.deepEqual(await failed(daemon, 'late'), ['NotReady', 'was not ready in time and was ended']);
    assert.deepEqual(await failed(daemon, 'feeds'), ['WatchdogExpired', 'gave no sign of life in time and was ended']);
    const barred = await running(daemon, 'barred');
    const [, socket = ''] = /@(northstate\/notify\S+)/.exec(readFileSync(`/proc/${barred.pid}/net/unix`, 'utf8')) ?? [];
    assert.notEqual(socket, '');
    await run('systemd-notify', ['--ready'], { NOTIFY_SOCKET: `@${socket}` });
    const still = await daemon.untilContainer('barred', 'runs', ({ phase }) => phase === 'Running');
    assert.deepEqual([ready(still)?.reason], ['NotReady'], 'nobody from outside is believed');
  });
});

const server = (port: number) =>
  `exec python3 -c 'import http.server,os
class H(http.server.BaseHTTPRequestHandler):
  def do_GET(self):
    self.send_response(200 if self.path == "/good" else 503); self.end_headers()
  def log_message(self, *a): pass
http.server.HTTPServer(("127.0.0.1", ${port}), H).serve_forever()'`;

test('each kind of probe finds who answers, and who does not', async () => {
  const port = 20_000 + (process.pid % 20_000);
  const packages = await Promise.all([
    shell('web', server(port), 'network: !host'),
    shell('sick', server(port + 1), 'network: !host'),
    shell('touches', `sleep 0.3; touch /tmp/ready; sleep 0.7; rm /tmp/ready; ${stays}`),
    shell('execs', `touch /tmp/ready; sleep 0.5; rm /tmp/ready; ${stays}`),
    shell('hangs', stays),
    shell('dials', stays, 'network: !host'),
    // What the package asks for by itself, in a network namespace of its own.
    shell(
      'own',
      server(port),
      `custom: { northstate: { health: { ready: { http: "http://127.0.0.1:${port}/good", every: 100ms } } } }`,
    ),
    shell('outward', stays, 'custom: { northstate: { health: { ready: { tcp: "192.0.2.1:80" } } } }'),
    shell(
      'listens',
      `exec python3 -c 'import socket,time
s = socket.socket(socket.AF_UNIX); s.bind("/tmp/s"); s.listen(9); time.sleep(1000)'`,
    ),
  ]);
  const fast = 'every: 100ms, failures: 2, timeout: 5s';
  const entries = [
    entry(
      'web',
      `health: { ready: { http: "http://127.0.0.1:${port}/good" }, alive: { http: "http://127.0.0.1:${port}/good", every: 100ms, timeout: 1s } }, stop: { grace: 100ms }`,
    ),
    entry(
      'sick',
      `health: { ready: { tcp: "127.0.0.1:${port + 1}" }, alive: { http: "http://127.0.0.1:${port + 1}/bad", ${fast} } }, ${never}`,
    ),
    entry(
      'touches',
      `health: { ready: { file: /tmp/ready, every: 100ms }, alive: { file: /tmp/ready, ${fast} } }, ${never}`,
    ),
    entry('execs', `health: { alive: { exec: [test, -e, /tmp/ready], ${fast} } }, ${never}`),
    entry(
      'hangs',
      `health: { alive: { exec: [sh, -c, "sleep 100 & sleep 100"], every: 100ms, failures: 2, timeout: 300ms } }, ${never}`,
    ),
    entry('listens', 'health: { ready: { unix: /tmp/s, every: 100ms } }'),
    entry('own', 'settle: 1h'),
    entry('outward', 'settle: 0s'),
    entry('dials', `health: { ready: { tcp: "127.0.0.1:${port}", every: 100ms } }`),
  ];
  await withDaemon(packages, entries, async (daemon) => {
    await daemon.untilContainer('web', 'is ready', isReady);
    await daemon.untilContainer('listens', 'is ready', isReady);
    await daemon.untilContainer('dials', 'is ready', isReady);
    await daemon.untilContainer('own', 'is ready', isReady);
    const outward = await daemon.untilContainer('outward', 'is ready', isReady);
    const told = outward.conditions.find(({ reason }) => reason === 'ManifestDefect');
    assert.match(told?.message ?? '', /a package may ask loopback addresses only/);
    assert.deepEqual(await failed(daemon, 'sick'), [
      'Unhealthy',
      'did not answer as it should and was ended (status 503)',
    ]);
    const gone = 'did not answer as it should and was ended (/tmp/ready: No such file or directory)';
    assert.deepEqual(await failed(daemon, 'touches'), ['Unhealthy', gone]);
    assert.deepEqual(await failed(daemon, 'execs'), [
      'Unhealthy',
      'did not answer as it should and was ended (exit code 1)',
    ]);
    assert.deepEqual(await failed(daemon, 'hangs'), [
      'Unhealthy',
      'did not answer as it should and was ended (no answer in 300 ms)',
    ]);
    const web = await running(daemon, 'web');
    assert.equal(web.restarts, 0, 'who answers goes on');
    // Who asks dies: what it was asked for is asked anew, and finds what has changed since.
    const asks = proberOf(daemon);
    process.kill(asks, 'SIGKILL');
    await eventually('somebody else asks', daemon, () => ![0, asks].includes(proberOf(daemon)));
    // It stands still: whoever connects is let in by the kernel, and gets no answer.
    process.kill(-(web.pid ?? 0), 'SIGSTOP');
    const hung = await daemon.untilContainer('web', 'was restarted', ({ restarts }) => restarts > 0);
    assert.equal(hung.desired, 'running');
  });
});

/** A line of Python that sends datagrams to the socket of sd_notify(3). */
const notify = (lines: string): string =>
  `exec python3 -c 'import os,socket,time
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
a = os.environ["NOTIFY_SOCKET"]; a = chr(0) + a[1:] if a[0] == "@" else a
def say(text):
  s.sendto(text if isinstance(text, bytes) else text.encode(), a)
${lines}
time.sleep(1000)'`;

test('what is said in floods, wrongly or late, and probes that fill memory, fork and lie, harm nobody', async () => {
  const memory = 'cgroups: { memory: { memory_hard_limit: 60000000 } }';
  const packages = await Promise.all([
    shell('extends', notify('say("EXTEND_TIMEOUT_USEC=60000000"); time.sleep(1.5); say("READY=1")')),
    shell('ends', notify('say("READY=1"); say("STOPPING=1")')),
    shell(
      'reloads',
      notify('say("READY=1"); say("RELOADING=1\\nMONOTONIC_USEC=1"); say("STATUS=anew"); say("READY=1")'),
    ),
    shell(
      'floods',
      notify(`for i in range(30000): say("STATUS=%d" % i)
for i in range(300): say(b"\\xff" * 4096); say("X" * 20000); say("=\\n=\\n" * 500); say("")
say("STATUS=dry"); say("READY=1")`),
    ),
    shell('quiet', notify('say("READY=1")')),
    shell('eats', stays, memory),
    shell('forks', stays),
    shell('aborts', stays, 'rlimits: { core: { soft: 1000000, hard: 1000000 } }'),
    shell('web', server(8080)),
    shell('seven', 'exit 7'),
  ]);
  const eat = 'exec: [python3, -c, "x = bytearray(500000000)"], every: 100ms, failures: 2, timeout: 20s';
  const fork = 'exec: [sh, -c, "for i in 1 2 3 4 5 6 7 8 9; do sleep 100 & done"], every: 100ms';
  const web = 'http: "http://127.0.0.1:8080/good", every: 100ms, timeout: 300ms, failures: 2';
  const entries = [
    entry('extends', `health: { ready: notify, within: 1s }, ${never}`),
    entry('ends', 'health: { ready: notify }'),
    entry('reloads', 'health: { ready: notify }'),
    entry('floods', 'health: { ready: notify, within: 2m }'),
    entry('quiet', 'health: { ready: notify, within: 2m }'),
    entry('eats', `health: { alive: { ${eat} } }, ${never}`),
    entry('forks', `health: { ready: { ${fork} } }, stop: { grace: 100ms }`),
    entry('aborts', `health: { watchdog: 500ms }, ${never}`),
    entry('web', `health: { ready: { ${web} }, alive: { ${web} } }`),
  ];
  await withDaemon(packages, entries, async (daemon) => {
    for (const name of ['quiet', 'extends', 'reloads', 'forks', 'web'])
      await daemon.untilContainer(name, 'is ready', isReady);
    assert.equal((await daemon.untilContainer('reloads', 'says so', ({ says }) => says !== '')).says, 'anew');
    const ends = await daemon.untilContainer(
      'ends',
      'says that it ends',
      (status) => ready(status)?.reason === 'Stopping',
    );
    assert.equal(ends.phase, 'Running');
    assert.equal((await daemon.untilContainer('floods', 'is ready', isReady)).says, 'dry');
    // What is paused is not asked: it would not answer.
    assert.equal((await daemon.run('pause', 'web')).code, 0);
    assert.equal((await failed(daemon, 'eats'))[0], 'Unhealthy');
    assert.equal((await failed(daemon, 'aborts'))[0], 'WatchdogExpired');
    const aborted = await daemon.untilContainer('aborts', 'has failed', ({ phase }) => phase === 'Failed');
    assert.deepEqual(aborted.lastExit, { signal: 6 }, 'where it may leave a core dump it shows where it hangs');
    const before = proberOf(daemon);
    assert.equal((await daemon.run('resume', 'web')).code, 0);
    const web = await daemon.untilContainer('web', 'is ready again', isReady);
    assert.deepEqual([web.restarts, proberOf(daemon)], [0, before]);

    const text = readFileSync(daemon.document, 'utf8');
    const file = join(daemon.directory, 'more.yaml');
    const apply = async (fields: string) => {
      writeFileSync(file, text.replace('containers:\n', `containers:\n  seven: { state: running, ${fields} }\n`));
      return await daemon.run('apply', '-f', file, '--wait', '--timeout', '2s');
    };
    const failing = await apply(never);
    assert.equal(failing.code, 3);
    assert.match(failing.stderr, /seven: Exited, .*exit code 7|seven: .*ended with exit code 7/);
    const again = await apply('restart: { backoff: 1m }');
    assert.equal(again.code, 4);
    assert.match(again.stderr, /seven: Backoff/);
  });
});

/** The process that asks, a child of the launcher; 0: nobody does. */
function proberOf(daemon: Daemon): number {
  for (const pid of readdirSync('/proc').filter((each) => /^\d+$/.test(each))) {
    try {
      const [, name, parent] = /^\d+ \((.*)\) \S (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8')) ?? [];
      if (name?.startsWith('northstate: pro') === true && Number(parent) === daemon.pid) return Number(pid);
    } catch {
      continue; // it has just ended
    }
  }
  return 0;
}
