// Commands over the console: every state that Northstar's protocol can reach is reached, shown and answered for truly.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connectConsole, ConsoleError, type Client } from '../../../src/client/console-client.ts';
import { documentOf, startDaemon } from '../../support/test-daemon.ts';
import { openDescriptors } from '../../support/leaks.ts';
import { probePackage } from '../../support/packages.ts';
import { endsClean, withDaemon } from '../../support/scenario.ts';
import { createRandom } from '../../sim/random.ts';

/** `ok`, or the name of an error. */
type Outcome = string;

/** One name in three versions as Northstar has it: any of them mounted, one of them running. */
interface Model {
  readonly mounted: ReadonlySet<string>;
  readonly running: string | null;
}

const versions = ['1.0.0', '1.1.0', '2.0.0'];
const verbs = ['start', 'kill', 'mount', 'umount'] as const;
type Verb = (typeof verbs)[number];

/** What Northstar answers, and what is so afterwards. */
function northstar({ mounted, running: runs }: Model, verb: Verb, version: string): { outcome: Outcome; then: Model } {
  const refuse = (outcome: string) => ({ outcome, then: { mounted, running: runs } });
  switch (verb) {
    case 'start':
      if (runs !== null) return refuse('start_container_started');
      return { outcome: 'ok', then: { mounted: new Set([...mounted, version]), running: version } };
    case 'kill':
      if (runs !== version) return refuse('stop_container_not_started');
      return { outcome: 'ok', then: { mounted, running: null } };
    case 'mount':
      if (mounted.has(version)) return refuse('invalid_container');
      return { outcome: 'ok', then: { mounted: new Set([...mounted, version]), running: runs } };
    case 'umount':
      if (runs === version || !mounted.has(version)) return refuse('umount_busy');
      return {
        outcome: 'ok',
        then: { mounted: new Set([...mounted].filter((each) => each !== version)), running: runs },
      };
  }
}

async function ask(client: Client, verb: Verb, container: string): Promise<Outcome> {
  try {
    if (verb === 'start')
      await client.call('start', { container, init: null, arguments: [], environment: {}, lifetime: undefined });
    else if (verb === 'kill') await client.call('kill', { container, signal: 9, lifetime: undefined });
    else {
      const [outcome] = await client.call(verb, { containers: [container], lifetime: undefined });
      if (outcome !== undefined && 'error' in outcome) return Object.keys(outcome.error.error)[0] ?? '';
    }
    return 'ok';
  } catch (error) {
    if (error instanceof ConsoleError) return error.reason;
    throw error;
  }
}

async function shown(client: Client): Promise<Model> {
  const data = await Promise.all(
    versions.map(async (version) => {
      const found = await client.call('inspect', { container: `walker:${version}` });
      return { version, ...(found.data as { mounted: boolean; process: object | null }) };
    }),
  );
  return {
    mounted: new Set(data.filter(({ mounted }) => mounted).map(({ version }) => version)),
    running: data.find(({ process }) => process !== null)?.version ?? null,
  };
}

test('a random walk over start, kill, mount and umount of three versions of a name is answered and shown as Northstar would', async () => {
  const packages = await Promise.all(versions.map((version) => probePackage({ name: 'walker', version })));
  const before = openDescriptors();
  await using daemon = await startDaemon({ packages, document: (directory) => documentOf(directory) });
  const client = await connectConsole(daemon.console, { subscribe: true });
  const random = createRandom(20_261_122);
  const gone: (() => void)[] = [];
  const exits = (async () => {
    for await (const notification of client.notifications()) {
      if (typeof notification === 'object' && 'exit' in notification) gone.shift()?.();
    }
  })();
  let model: Model = { mounted: new Set(), running: null };
  const trail: string[] = [];
  for (let turn = 0; turn < 60; turn += 1) {
    const verb = random.pick(verbs);
    // What runs is meant more often than chance would have it.
    const version =
      verb === 'kill' && model.running !== null && random.chance(0.7) ? model.running : random.pick(versions);
    const { outcome, then } = northstar(model, verb, version);
    trail.push(`${verb} ${version}: ${outcome}`);
    const exited = new Promise<void>((resolve) => {
      if (verb === 'kill' && outcome === 'ok') gone.push(resolve);
      else resolve();
    });
    assert.equal(await ask(client, verb, `walker:${version}`), outcome, trail.join('\n'));
    await exited; // a kill is answered at delivery
    assert.deepEqual(await shown(client), then, trail.join('\n'));
    model = then;
  }
  client.close();
  await exits;
  await endsClean(daemon, before);
});

test('a start that cannot happen is answered within ten seconds with what it lacks, and two starts at once are one', async () => {
  const waiting = await probePackage({ name: 'waiting' });
  const needed = await probePackage({ name: 'needed' });
  const entries = ['waiting: { state: mounted, dependsOn: { needed: running } }', 'needed: { state: mounted }'];
  await withDaemon([waiting, needed], entries, async (daemon) => {
    const [one, other] = await Promise.all([connectConsole(daemon.console), connectConsole(daemon.console)]);
    const start = { container: 'needed:1.0.0', init: null, arguments: [], environment: {}, lifetime: undefined };
    const late = daemon.run('start', 'waiting');
    await assert.rejects(
      late.then(({ code, stderr }) => Promise.reject(new Error(`${String(code)} ${stderr}`))),
      /1 .*needed/,
    );
    const both = await Promise.allSettled([one.call('start', start), other.call('start', start)]);
    assert.deepEqual(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
    const refused = both.find((each) => each.status === 'rejected')?.reason as ConsoleError;
    assert.equal(refused.reason, 'start_container_started');
    // What was answered with an error does not happen later.
    await daemon.untilContainer('waiting', 'is as it was', ({ desired }) => desired === 'mounted');
    one.close();
    other.close();
  });
});

test('a start whose patch another edit takes back is answered at once, with both generations', async () => {
  const waiting = await probePackage({ name: 'waiting' });
  const needed = await probePackage({ name: 'needed' });
  const entries = ['waiting: { state: mounted, dependsOn: { needed: running } }', 'needed: { state: mounted }'];
  await withDaemon([waiting, needed], entries, async (daemon) => {
    const { generation } = await daemon.until('converged', ({ converged }) => converged);
    const answer = daemon.run('start', 'waiting');
    await daemon.untilContainer('waiting', 'is asked for', ({ desired }) => desired === 'running');
    assert.equal((await daemon.run('stop', 'waiting')).code, 0);
    const { code, stderr } = await answer;
    assert.equal(code, 1);
    assert.match(
      stderr,
      new RegExp(
        `generation ${generation + 1} asked for it, another edit took that back with generation ${generation + 2}`,
      ),
    );
  });
});
