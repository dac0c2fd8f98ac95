// Recorded sessions with Northstar, played against a daemon that runs under the same northstar.toml, and real containers.
import { suite, test, type TestContext } from 'node:test';
import { startNorthstar } from './northstar-daemon.ts';
import { readTranscript, replay, type TranscriptEvent } from './replay.ts';

type Events = readonly TranscriptEvent[];

const same = [
  'connect',
  'connect-timeout',
  'inspect',
  'install',
  'install-broken',
  'kill',
  'limits',
  'malformed-requests',
  'mount',
  'permissions',
  'queries',
  'rate',
  'token',
  'token-expired',
  'uninstall',
];
/** What is answered better than recorded. */
const better: readonly [name: string, how: string, improve: (events: Events) => Events][] = [
  ['start', 'but that an init that does not exist is an error', withTrueStarts],
  ['start-arguments', 'but that an init that does not exist is an error', withTrueStarts],
  ['shutdown', 'and tells its subscribers what ends', withFarewell],
  ['oom', 'and tells its subscribers which group had no memory left', withMemoryEvents],
];

// Most of their time they wait for something that is to happen late.
suite('under the configuration of a Northstar device', { concurrency: 4 }, () => {
  for (const name of same) {
    test(`a daemon answers ${name} as Northstar does`, (context) => play(context, name, (events) => events));
  }
  for (const [name, how, improve] of better) {
    test(`a daemon answers ${name} as Northstar does, ${how}`, (context) => play(context, name, improve));
  }
});

async function play(context: TestContext, name: string, improve: (events: Events) => Events): Promise<void> {
  const transcript = await readTranscript(name);
  await using northstar = await startNorthstar(transcript);
  await replay(context, northstar.console, improve(transcript.events));
}

function withFarewell(events: Events): Events {
  const told = ['shutdown', { exit: ['idle:1.0.0', { signalled: { signal: 15 } }] }];
  return events.flatMap((event) => {
    const more = event.recv_end === true ? told : [];
    return [...more.map((notification) => ({ on: event.on, recv: { notification } })), event];
  });
}

function withMemoryEvents(events: Events): Events {
  const memory = { low: null, high: null, max: null, oom: null, oom_kill: 1 };
  return [...events, { on: 'a', recv: { notification: { c_group: ['oom:1.0.0', { memory }] } } }];
}

/** Northstar answers ok when an init does not exist, and then reports exit code 1: no program of ours ends with that. */
function withTrueStarts(events: Events): Events {
  return events.flatMap((event, index) => {
    const container = events
      .slice(index, index + 3)
      .map(failedExit)
      .find((each) => each !== null);
    const isPartOf = container !== undefined && JSON.stringify(event.recv ?? null).includes(`"${container}"`);
    if (!isPartOf) return [event];
    const error = { start_container_failed: { container, error: '<TEXT>' } };
    return failedExit(event) === null
      ? []
      : [{ on: event.on, recv: { response: { start: { error: { container, error } } } } }];
  });
}

/** The container whose exit with code 1 this is, else null. */
function failedExit({ recv }: TranscriptEvent): string | null {
  const text = JSON.stringify(recv ?? null);
  return /^\{"notification":\{"exit":\["([^"]+)",\{"exit":\{"code":1\}\}\]\}\}$/.exec(text)?.[1] ?? null;
}
