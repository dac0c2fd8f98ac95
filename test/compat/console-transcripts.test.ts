// Recorded sessions with Northstar, played against our console over a runtime without a kernel.
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import type { Exit } from '../../state/signals.ts';
import { fakeRuntime, type FakeRuntime } from '../support/console/fake-runtime.ts';
import { openTestConsole } from '../support/console/scratch.ts';
import { fixtures, readTranscript, replay, type Transcript } from './replay.ts';

interface Expected {
  readonly sha256: string;
  readonly bytes: number;
  readonly entries: readonly string[];
  readonly inspect: Readonly<Record<string, unknown>>;
}

const known = JSON.parse(await readFile(new URL('expected/npk.json', fixtures), 'utf8')) as Record<string, Expected>;

const names = [
  'connect',
  'inspect',
  'install',
  'install-broken',
  'kill',
  'malformed-requests',
  'mount',
  'queries',
  'start',
  'start-arguments',
  'uninstall',
];

for (const name of names) {
  test(`the console answers ${name} as Northstar does`, async (context) => {
    const transcript = await readTranscript(name);
    const url = await openTestConsole(context, northstar(transcript));
    await replay(context, url, transcript.events);
  });
}

test('the console answers limits as Northstar does', async (context) => {
  const transcript = await readTranscript('limits');
  const limits = { requestsPerSecond: 3, requestSize: 1000, installSize: 20_000, installStall: 1000 };
  const url = await openTestConsole(context, northstar(transcript), { limits });
  await replay(context, url, transcript.events);
});

test('the console answers rate as Northstar does', async (context) => {
  const transcript = await readTranscript('rate');
  const url = await openTestConsole(context, northstar(transcript), { limits: { requestsPerSecond: 3 } });
  await replay(context, url, transcript.events);
});

test('the console answers permissions as Northstar does', async (context) => {
  const transcript = await readTranscript('permissions');
  const url = await openTestConsole(context, northstar(transcript), { permissions: ['ident', 'list', 'start'] });
  await replay(context, url, transcript.events);
});

function northstar(transcript: Transcript): FakeRuntime {
  return fakeRuntime({
    packages: transcript.packages.map((path) => ({ manifest: known[path]?.inspect ?? {}, repository: 'system' })),
    repositories: { system: {}, scratch: {}, verified: {}, one: { containers: 1 }, tiny: { bytes: 1000 } },
    recognise,
    ends,
  });
}

/** Which package these bytes begin with; a verified repository takes signed ones only. */
function recognise(bytes: Buffer, repository: string): Expected['inspect'] | undefined {
  const found = Object.values(known).find((each) => each.sha256 === sha256(bytes.subarray(0, each.bytes)));
  return repository === 'verified' && !found?.entries.includes('signature.yaml') ? undefined : found?.inspect;
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** How the programs of these packages end, without a kernel to run them. */
function ends(name: string, args: readonly string[], init: string): Exit | null {
  if (init === '/nowhere') return { code: 1 };
  if (args[0] === 'exit') return { code: Number(args[1]) };
  const codes: Readonly<Record<string, Exit>> = {
    'exit-7': { code: 7 },
    segfault: { signal: 11 },
    'bad-init': { code: 1 },
    'mount-resource': { code: 0 },
    'shared-data': { code: 1 },
  };
  return args[0] === 'sleep' ? null : (codes[name] ?? null);
}
