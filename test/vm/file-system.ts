// The ext4 file system of a disk that loses its power, by e2fsprogs on the host.
import { execFile } from 'node:child_process';
import { open, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** An empty file system of `size` bytes. `folder` is for a file that is removed again. */
export async function emptyFileSystem(folder: string, size: number): Promise<Buffer> {
  const file = path.join(folder, 'empty');
  const handle = await open(file, 'wx');
  await handle.truncate(size);
  await handle.close();
  await run('/sbin/mkfs.ext4', ['-q', '-F', '-b', '4096', '-E', 'lazy_itable_init=0,lazy_journal_init=0', file]);
  const content = await readFile(file);
  await rm(file);
  return content;
}

/**
 * Rejects unless the file system on a disk is sound: as at every boot after a power cut its journal is replayed and files
 * that were deleted while open are freed (e2fsck -p), then nothing may be left to say. The disk itself stays as it is.
 */
export async function checkFileSystem(folder: string, content: Buffer): Promise<void> {
  const file = path.join(folder, 'copy');
  await writeFile(file, content);
  try {
    await run('/sbin/e2fsck', ['-f', '-p', file]).catch(unlessMended);
    await run('/sbin/e2fsck', ['-f', '-n', file]);
  } finally {
    await rm(file);
  }
}

/** Exit code 1 (e2fsck(8)): what there was to mend was mended. */
function unlessMended(error: Error & { code?: unknown; stdout?: string }): void {
  if (error.code !== 1) throw new Error(`the file system is damaged: ${error.stdout ?? ''}`, { cause: error });
}
