// The report for support: one ZIP archive of everything that explains the present state, without secrets.
import { open, unlink, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { toJson, type State } from '../../state/store.ts';
import type { Summary } from '../../state/document/generation.ts';
import { writeArchive, type NewEntry } from '../npk/archive/zip-writer.ts';
import { createRedactor, type Redactor } from './redact.ts';
import type { Unmet } from '../../controllers/status/explain.ts';
import { RuntimeError, type LogLine, type Runtime, type StampedEvent } from '../runtime/runtime.ts';
import { runtimeVersion } from '../runtime-version.ts';

/** Bytes of output that a report holds, of one container (the newest) and of all. */
const mostOutput = 64 * 1024;
const mostOutputs = 16 * 1024 * 1024;
const piece = 48 * 1024;

export interface ReportPorts {
  readonly runDir: string;
  readonly boot: string;
  readonly state: () => State;
  readonly history: () => Promise<readonly Summary[]>;
  readonly events: () => readonly StampedEvent[];
  readonly explain: (key: string) => Unmet | null;
  /** What was played at the boot, and what is in the plan for the next one. */
  readonly bootPlan: () => unknown;
  /** What the document says, as JSON. */
  readonly document: () => unknown;
  readonly logs: Runtime['logs'];
  /** What the kernel offers of what is needed. */
  readonly kernel: () => Promise<unknown>;
}

/** Gives a function that makes the report, piece by piece; one at a time, since each is put together in runDir. */
export function createReporter(ports: ReportPorts): () => AsyncIterable<Buffer> {
  let busy = false;
  return async function* report() {
    if (busy) throw new RuntimeError('busy', 'a report is being made already', {});
    busy = true;
    try {
      const path = join(ports.runDir, 'report.zip');
      const file = await open(path, 'w+', 0o600);
      try {
        await unlink(path); // it is gone with its descriptor, whatever ends this process
        await writeArchive(file, await entriesOf(ports), '');
        yield* piecesOf(file);
      } finally {
        await file.close();
      }
    } finally {
      busy = false;
    }
  };
}

async function* piecesOf(file: FileHandle): AsyncGenerator<Buffer> {
  for (let at = 0; ;) {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(piece), 0, piece, at);
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
    at += bytesRead;
  }
}

async function entriesOf(ports: ReportPorts): Promise<NewEntry[]> {
  const redact = createRedactor();
  const state = ports.state();
  const json = (name: string, value: unknown): NewEntry => entry(name, JSON.stringify(redact.value(value), null, 1));
  const keys = Object.keys(state.status.containers).toSorted();
  const facts = {
    northstate: runtimeVersion,
    node: process.version,
    boot: ports.boot,
    time: new Date().toISOString(),
    memory: process.memoryUsage(),
  };
  return [
    json('report.json', facts),
    // What the document and the manifests set comes first: what is said later is freed of it.
    json('document.json', ports.document()),
    json('observed.json', toJson(state.observed)),
    json('status.json', state.status),
    json('explain.json', Object.fromEntries(keys.map((key) => [key, ports.explain(key)]))),
    json('history.json', await ports.history()),
    json('events.json', ports.events()),
    json('boot.json', ports.bootPlan()),
    json('kernel.json', await ports.kernel()),
    ...(await outputs(keys, redact, ports.logs)),
  ];
}

/** The newest output of each container, as far as there is room. */
async function outputs(keys: readonly string[], redact: Redactor, logs: Runtime['logs']): Promise<NewEntry[]> {
  const entries: NewEntry[] = [];
  let room = mostOutputs;
  for (const key of keys) {
    const lines: string[] = [];
    let size = 0;
    for await (const line of logs(key, { since: null, follow: false, signal: new AbortController().signal })) {
      lines.push(redact.text(textOf(line)));
      size += lines.at(-1)?.length ?? 0;
      while (size > mostOutput) size -= lines.shift()?.length ?? size;
    }
    const text = lines.join('');
    if (text === '' || text.length > room) continue;
    room -= text.length;
    entries.push(entry(`output/${key.replace(':', '-')}.log`, text));
  }
  return entries;
}

function textOf({ time, stream, line }: LogLine): string {
  return `${new Date(time).toISOString()} ${stream} ${line}\n`;
}

function entry(name: string, text: string): NewEntry {
  return { name, content: [{ bytes: Buffer.from(text) }], alignment: 1 };
}
