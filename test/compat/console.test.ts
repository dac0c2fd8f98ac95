// Recorded sessions with Northstar, played against a running daemon and real containers.
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startDaemon } from '../daemon.ts';
import { fixtures, readTranscript, replay, type TranscriptEvent } from './replay.ts';

const same = [
  'connect',
  'inspect',
  'install-broken',
  'kill',
  'malformed-requests',
  'mount',
  'oom',
  'queries',
  'uninstall',
];

for (const name of same) {
  test(`a daemon answers ${name} as Northstar does`, async (context) => {
    await play(context, name, (events) => events);
  });
}

for (const name of ['start', 'start-arguments']) {
  test(`a daemon answers ${name} as Northstar does, but that an init that does not exist is an error`, async (context) => {
    await play(context, name, withTrueStarts);
  });
}

test('a daemon answers shutdown as Northstar does, and tells its subscribers what ends', async (context) => {
  const told = ['shutdown', { exit: ['idle:1.0.0', { signalled: { signal: 15 } }] }];
  await play(context, 'shutdown', (events) =>
    events.flatMap((event) => {
      const more = event.recv_end === true ? told : [];
      return [...more.map((notification) => ({ on: event.on, recv: { notification } })), event];
    }),
  );
});

async function play(
  context: TestContext,
  name: string,
  improve: (events: readonly TranscriptEvent[]) => readonly TranscriptEvent[],
): Promise<void> {
  const { packages, events } = await readTranscript(name);
  await using daemon = await startDaemon({
    packages: packages.map((path) => fileURLToPath(new URL(path, fixtures))),
    document: repositories,
  });
  await replay(context, daemon.console, improve(events));
}

/** The repositories of fixtures/configs/full.toml; those in memory or with a key are plain directories here. */
function repositories(packages: string): string {
  const directory = (name: string): string => {
    const path = join(dirname(packages), name);
    mkdirSync(path);
    return path;
  };
  return `apiVersion: northstate/v1
autostart: ignore
repositories:
  system: { type: fs, dir: ${packages} }
  scratch: { type: fs, dir: ${directory('scratch')} }
  verified: { type: fs, dir: ${directory('verified')} }
  one: { type: fs, dir: ${directory('one')}, capacity: { containers: 1 } }
  tiny: { type: fs, dir: ${directory('tiny')}, capacity: { size: 1kB } }
`;
}

/** Northstar answers ok when an init does not exist, and then reports exit code 1: no program of ours ends with that. */
function withTrueStarts(events: readonly TranscriptEvent[]): readonly TranscriptEvent[] {
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
