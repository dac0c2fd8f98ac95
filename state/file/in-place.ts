// Calls on files that a start makes one after the other. Handing one to another thread and hearing of it again are two switches
// of the processor, and where that is busy each waits out somebody's slice. As long as nobody is served yet they are made in
// place, where nothing waits behind them; from then on another thread does them, since a disk may take its time.
import {
  accessSync,
  closeSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  promises,
  readFileSync,
  readdirSync,
  readlinkSync,
  readSync,
  rmSync,
  type BigIntStats,
  type Stats,
} from 'node:fs';

let inPlace = false;

/** Whether calls are made in place from now on; at first they are not. */
export function callInPlace(wanted: boolean): void {
  inPlace = wanted;
}

async function call<T>(now: () => T, later: () => Promise<T>): Promise<T> {
  return inPlace ? now() : await later();
}

/** access(2). Rejects with the errno, as all of these do. */
export function access(path: string, mode: number): Promise<void> {
  return call(
    () => accessSync(path, mode),
    () => promises.access(path, mode),
  );
}

/** lstat(2). */
export function lstat(path: string): Promise<Stats> {
  return call(
    () => lstatSync(path),
    () => promises.lstat(path),
  );
}

/** mkdir(2), with the directories above it; one that is there will do. */
export async function makeDirectory(path: string, mode: number): Promise<void> {
  const options = { recursive: true, mode };
  await call(
    () => mkdirSync(path, options),
    () => promises.mkdir(path, options),
  );
}

/** A whole file as UTF-8. */
export function readText(path: string): Promise<string> {
  return call(
    () => readFileSync(path, 'utf8'),
    () => promises.readFile(path, 'utf8'),
  );
}

/** The names in a directory. */
export function readdir(path: string): Promise<string[]> {
  return call(
    () => readdirSync(path),
    () => promises.readdir(path),
  );
}

/** readlink(2). */
export function readlink(path: string): Promise<string> {
  return call(
    () => readlinkSync(path),
    () => promises.readlink(path),
  );
}

/** unlink(2); one that is not there will do. */
export function removeFile(path: string): Promise<void> {
  return call(
    () => rmSync(path, { force: true }),
    () => promises.rm(path, { force: true }),
  );
}

/** A file that is open for reading. */
export interface OpenFile {
  readonly fd: number;
  /** The same as `stat` in plain numbers. */
  look(): Promise<Stats>;
  stat(): Promise<BigIntStats>;
  /** What there is of it. */
  readAll(): Promise<Uint8Array>;
  /** pread(2); 0 bytes at its end. */
  read(into: Uint8Array, offset: number, length: number, position: number): Promise<{ readonly bytesRead: number }>;
  close(): Promise<void>;
}

/** open(2). */
export async function openFile(path: string, flags: number): Promise<OpenFile> {
  if (inPlace) return inPlaceFile(openSync(path, flags));
  const handle = await promises.open(path, flags);
  return {
    fd: handle.fd,
    look: () => handle.stat(),
    stat: () => handle.stat({ bigint: true }),
    readAll: () => handle.readFile(),
    read: (...where) => handle.read(...where),
    close: () => handle.close(),
  };
}

/** It stays in place, whatever is wanted meanwhile. */
function inPlaceFile(fd: number): OpenFile {
  const now = <T>(act: () => T): Promise<T> => new Promise((resolve) => resolve(act()));
  return {
    fd,
    look: () => now(() => fstatSync(fd)),
    stat: () => now(() => fstatSync(fd, { bigint: true })),
    readAll: () => now(() => readFileSync(fd)),
    read: (...where) => now(() => ({ bytesRead: readSync(fd, ...where) })),
    close: () => now(() => closeSync(fd)),
  };
}
