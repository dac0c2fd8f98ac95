// The socket on which a container says how it is, where it lies in its /dev: whoever takes paths alone reaches it, and nobody else.
import assert from 'node:assert/strict';
import { existsSync, lstatSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { ContainerStatus } from '../../../state/status.ts';
import { run } from '../../support/command.ts';
import { hostPid } from '../../support/container-processes.ts';
import { probePackage } from '../../support/packages.ts';
import { running, withDaemon } from '../../support/scenario.ts';
import { eventually } from '../../support/sleeper.ts';

const host = ['/bin', '/usr', '/lib', '/lib64'].map((path) => `${path}: { type: bind, host: ${path} }`).join(', ');
const dev = '/dev: { type: dev }';
const path = '/dev/northstate-notify';

/** It sends datagrams to a path, as the Rust crate sd-notify does; one that is sent before `say` ends, and the sender with it. */
const python = (lines: string) => `import os,socket,subprocess,sys,time
def say(text, at=os.environ.get("NOTIFY_SOCKET", "")):
  s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.connect(at); s.send(text.encode())
def refused(call):
  try: call()
  except OSError as error: return error.strerror
  return "done"
${lines}
time.sleep(1000)`;

function says(name: string, lines: string, mounts: string, fields = ''): Promise<string> {
  const args = JSON.stringify(['-c', python(lines)]);
  const all = `mounts: { ${host}, /tmp: { type: tmpfs, size: 1MB }${mounts} }`;
  return probePackage({
    name,
    fields: `init: /usr/bin/python3\nargs: ${args}\n${all}\n${fields}`,
    files: { empty: '' },
  });
}

const ready = ({ conditions }: ContainerStatus) => conditions.find(({ type }) => type === 'Ready');
const isReady = (status: ContainerStatus) => ready(status)?.status === 'True';
/** A child that is gone by the time that it is heard. */
const child = (text: string) =>
  `subprocess.run([sys.executable, "-S", "-c", "import socket; s = socket.socket(1, 2); s.connect('${path}'); s.send(b'${text}')"])`;

test('what a program says at once, before its init has told that it runs, is heard', async () => {
  const names = Array.from({ length: 24 }, (_, index) => `quick-${index}`);
  const fields = `mounts: { ${dev} }\n`;
  const args = ['send', '2', path, 'READY=1', 'sleep'];
  const packages = await Promise.all(names.map((name) => probePackage({ name, args, fields })));
  const entries = names.map((name) => `${name}: { state: running, health: { ready: notify } }`);
  await withDaemon(packages, entries, async (daemon) => {
    for (const name of names) await daemon.untilContainer(name, 'is ready', isReady);
  });
});

test('the socket lies in /dev, for whoever is in the container, and stays there', async () => {
  const tries = [
    `refused(lambda: os.unlink("${path}"))`,
    `refused(lambda: os.rename("${path}", "/dev/other"))`,
    `refused(lambda: os.chmod("${path}", 0))`,
    `refused(lambda: socket.socket(1, 2).bind("/dev/other"))`,
  ].join(', ');
  const packages = await Promise.all([
    says('own', 'say("READY=1\\nSTATUS=" + os.environ["NOTIFY_SOCKET"])', `, ${dev}`),
    says('shared', 'time.sleep(0.3); say("READY=1"); time.sleep(1); say("STATUS=later")', `, ${dev}`, 'network: !host'),
    says('briefly', `${child('READY=1')}; ${child('STATUS=gone')}`, `, ${dev}`, 'network: !host'),
    says(
      'able',
      `say("READY=1\\nSTATUS=" + "; ".join([${tries}]))`,
      `, ${dev}`,
      'capabilities: [CAP_DAC_OVERRIDE, CAP_FOWNER]',
    ),
    // What an image has in its /dev besides nodes is there, and can be mounted on.
    says(
      'mounts',
      'open("/dev/shm/file", "w"); say("READY=1\\nSTATUS=" + " ".join(sorted(os.listdir("/dev"))))',
      `, ${dev}, /proc: { type: proc }, /dev/shm: { type: tmpfs, size: 1MB }`,
    ),
    says('forges', 'time.sleep(1000)', `, ${dev}`, 'network: !host'),
    says('victim', 'time.sleep(1000)', `, ${dev}`, 'network: !host'),
    says('named', 'time.sleep(1000)', '', 'network: !host'),
  ]);
  const health = 'state: running, health: { ready: notify, within: 2m }';
  const entries = ['own', 'shared', 'briefly', 'able', 'mounts', 'victim', 'named'].map(
    (name) => `${name}: { ${health} }`,
  );
  await withDaemon(packages, [...entries, 'forges: { state: running }'], async (daemon) => {
    const told = async (name: string) => {
      await daemon.untilContainer(name, 'is ready', isReady);
      return (await daemon.untilContainer(name, 'says how it is', (status) => status.says !== '')).says;
    };
    assert.equal(await told('own'), path);
    assert.equal(await told('briefly'), 'gone');
    const readOnly = 'Read-only file system';
    assert.equal(await told('able'), [readOnly, readOnly, readOnly, readOnly].join('; '));
    assert.equal(
      await told('mounts'),
      'fd full northstate-notify null ptmx pts random shm stderr stdin stdout tty urandom zero',
    );
    await daemon.untilContainer('shared', 'is ready', isReady);
    // The launcher keeps the socket: who decides may die.
    process.kill(daemon.reconciler() ?? 0, 'SIGKILL');
    assert.equal(await told('shared'), 'later');
    assert.equal((await running(daemon, 'shared')).restarts, 0);

    // It is nobody's but the container's own: another has none there, and who comes in from outside is not believed.
    const [victim, forges] = [await running(daemon, 'victim'), await running(daemon, 'forges')];
    assert.equal(existsSync(`/proc/${forges.pid}/root${path}`), false);
    assert.ok(lstatSync(`/proc/${victim.pid}/root${path}`).isSocket());
    const script = `import socket,time; s = socket.socket(1, 2); s.connect('/proc/${victim.pid}/root${path}'); s.send(b'READY=1'); time.sleep(1)`;
    const { code, stderr } = await run('python3', ['-c', script]);
    assert.equal(code, 0, stderr);
    // Without a /dev its name can be seen in the network namespace that they share: another container's word counts for nothing.
    const { pid } = await running(daemon, 'named');
    const [, name = ''] = /@(northstate\/notify\S+)/.exec(readFileSync(`/proc/${pid}/net/unix`, 'utf8')) ?? [];
    const forged = `import socket,time; s = socket.socket(1, 2); s.connect(chr(0) + '${name}'); s.send(b'READY=1'); time.sleep(1)`;
    const sent = await daemon.run('exec', 'forges', '--', '/usr/bin/python3', '-c', forged);
    assert.equal(sent.code, 0, sent.stderr);
    const brief = await daemon.run(
      'exec',
      'forges',
      '--',
      '/usr/bin/python3',
      '-c',
      forged.replace('; time.sleep(1)', ''),
    );
    assert.equal(brief.code, 0, brief.stderr);
    for (const each of ['victim', 'named']) {
      const still = await daemon.untilContainer(each, 'runs', ({ phase }) => phase === 'Running');
      assert.equal(ready(still)?.reason, 'NotReady', each);
    }
  });
});

test('who has ended by the time that it is heard is believed also before its parent has waited for it', async () => {
  // It sends when it is told to, in a child that stays a zombie.
  const lines = `import signal
def send(*_):
  if os.fork() == 0:
    say("STATUS=ended", "${path}")
    os._exit(0)
signal.signal(signal.SIGUSR1, send)
say("READY=1", "${path}")`;
  const packages = [await says('parent', lines, `, ${dev}`, 'network: !host')];
  await withDaemon(packages, ['parent: { state: running, health: { ready: notify } }'], async (daemon) => {
    const status = await daemon.untilContainer('parent', 'is ready', isReady);
    const parent = hostPid({ pid: status.pid ?? 0 });
    process.kill(daemon.pid, 'SIGSTOP');
    try {
      process.kill(parent, 'SIGUSR1');
      await eventually('the child of the container has ended', daemon, () => {
        const child = readFileSync(`/proc/${parent}/task/${parent}/children`, 'utf8').trim();
        return child !== '' && readFileSync(`/proc/${child}/stat`, 'utf8').includes(') Z ');
      });
    } finally {
      process.kill(daemon.pid, 'SIGCONT');
    }
    await daemon.untilContainer('parent', 'says how it is', ({ says }) => says === 'ended');
  });
});
