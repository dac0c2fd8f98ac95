// Patches a document again and again and says which patches are durable, until it is killed. argv: the directory.
import { join } from 'node:path';
import { exchange } from '../../../native/file.ts';
import { copyAttributes } from '../../../native/xattr.ts';
import { openDocuments } from '../../../state/document/documents.ts';
import { createStore } from '../../../state/store.ts';

const dir = process.argv[2] ?? '';
const store = createStore();
const log = (fields: object, message: string): void =>
  void process.stderr.write(`${message} ${JSON.stringify(fields)}\n`);
const documents = await openDocuments({
  desired: join(dir, 'desired.yaml'),
  seed: null,
  stateDir: join(dir, 'state'),
  runDir: join(dir, 'run'),
  store,
  log: { info: () => undefined, warn: log, error: log },
  stand: () => undefined,
  bootId: 'this',
  runtime: '0.1.0',
  announcePatches: () => Promise.resolve(true),
  exchange,
  copyAttributes,
});
let run = store.get().desired.containers.get('a')?.run?.id ?? 0;
for (;;) {
  run++;
  const operations = [{ op: 'add', path: '/containers/a/run', value: run }] as const;
  const { durable } = await documents.patch(operations, { lifetime: 'document', origin: 'console' });
  await durable;
  process.stdout.write(`${run}\n`);
}
