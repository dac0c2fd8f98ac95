// The files of a document as they are used: read, replaced, and what a revert leaves beside them.
import { promises } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { readDocumentFile, type FileResult, type FileText } from './document-file.ts';
import { createFile, prepareFile, replaceFile, type ReplaceOptions } from './write-file.ts';

/** Every function but `read` rejects with the errno. */
export interface DocumentFiles {
  read(path: string, limit: number): Promise<FileResult>;
  /** As replaceFile(). */
  replace(old: FileText, text: string, options: ReplaceOptions): Promise<string | null>;
  /** As createFile(). */
  create(path: string, text: string): Promise<string | null>;
  /** Writes a file of ours beside the document, on the disk when this resolves. */
  leave(path: string, text: string): Promise<void>;
  /** Names in the document's directory that begin with its own and `start`. */
  others(path: string, start: string): Promise<readonly string[]>;
  remove(path: string): Promise<void>;
}

export const documentFiles: DocumentFiles = {
  read: readDocumentFile,
  replace: replaceFile,
  create: createFile,
  leave: async (path, text) => await (await prepareFile(path, text)).commit(),
  async others(path, start) {
    const begins = `${basename(path)}${start}`;
    const names = await promises.readdir(dirname(path));
    return names.filter((name) => name.startsWith(begins)).map((name) => join(dirname(path), name));
  },
  remove: (path) => promises.unlink(path),
};
