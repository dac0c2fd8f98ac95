// A document in a directory of its own, opened as the runtime opens it.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { exchange } from '../../../native/file.ts';
import { copyAttributes } from '../../../native/xattr.ts';
import { openDocuments, type Documents, type DocumentsOptions } from '../../../state/document/documents.ts';
import { createStanding } from '../../../state/standing.ts';
import { createStore, type State, type Store } from '../../../state/store.ts';
import { patience } from '../../support/patience.ts';

export interface Place {
  readonly dir: string;
  /** Path of the document. */
  readonly path: string;
  readonly logged: string[];
  /** Opens the document anew, with a store of its own, as another start of the runtime would. */
  open(options?: Partial<DocumentsOptions>): Promise<{ documents: Documents; store: Store }>;
  write(text: string): Promise<void>;
  read(): Promise<string>;
}

export const head = 'apiVersion: northstate/v1\n';

/** Makes a directory with a document of that text (null: without one). All is closed and removed when the test ends. */
export async function makePlace(t: TestContext, text: string | null): Promise<Place> {
  const dir = await mkdtemp(join(tmpdir(), 'northstate-documents-'));
  const path = join(dir, 'desired.yaml');
  const opened: Documents[] = [];
  const logged: string[] = [];
  const log = (fields: object, message: string): void => {
    const { err } = fields as { err?: Error };
    logged.push(err === undefined ? message : `${message}: ${err.message}`);
  };
  t.after(async () => {
    await Promise.all(opened.map((documents) => documents.close()));
    await rm(dir, { recursive: true });
  });
  if (text !== null) await writeFile(path, text);
  return {
    dir,
    path,
    logged,
    async open(options = {}) {
      const store = createStore();
      const documents = await openDocuments({
        desired: path,
        seed: null,
        stateDir: join(dir, 'state'),
        runDir: join(dir, 'run'),
        store,
        log: { info: log, warn: log, error: log },
        stand: createStanding(store, { info: log, warn: log }),
        bootId: 'this',
        runtime: '0.1.0',
        exchange,
        copyAttributes,
        ...options,
      });
      opened.push(documents);
      return { documents, store };
    },
    write: (content) => writeFile(path, content),
    read: () => readFile(path, 'utf8'),
  };
}

/** Resolves with the first state that passes; rejects when none comes. */
export async function until(store: Store, passes: (state: State) => boolean): Promise<State> {
  if (passes(store.get())) return store.get();
  const { promise, resolve, reject } = Promise.withResolvers<State>();
  const timer = setTimeout(() => {
    const { generation, document, desired } = store.get();
    reject(
      new Error(
        `it never came: ${JSON.stringify({ generation, document, containers: [...desired.containers.keys()] })}`,
      ),
    );
  }, patience);
  const unsubscribe = store.subscribe((_, state) => {
    if (passes(state)) resolve(state);
  });
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    unsubscribe();
  }
}

/** The names of all entries. */
export function namesIn({ desired }: State): string[] {
  return [...desired.containers.keys()];
}

/** Whether there is an entry of that name. */
export function has(name: string): (state: State) => boolean {
  return ({ desired }) => desired.containers.has(name);
}
