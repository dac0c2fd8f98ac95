// Bytes of a file go to the disk while others still come (sync_file_range(2)): whoever waits for all of them at the end, by
// fsync(2), waits for the last alone. It makes nothing durable by itself.
import { declareAsync } from './libc.ts';

const SYNC_FILE_RANGE_WRITE = 2;
const syncFileRange = declareAsync('sync_file_range', 'int', ['int', 'int64', 'int64', 'uint']);

/** Begins to write this range of an open file. Resolves once that has been asked for; a file system may know no such thing. */
export async function beginWriteback(fd: number, from: number, size: number): Promise<void> {
  await syncFileRange('a file', fd, from, size, SYNC_FILE_RANGE_WRITE).catch(() => undefined);
}
