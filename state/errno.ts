// What an error says: the kernel's answer in it, and its message.

/** The errno's name (`ENOENT`) that an error, or the one that caused it, carries; null where no call has failed. */
export function errnoOf(error: unknown): string | null {
  if (!(error instanceof Error)) return null;
  if ('code' in error && typeof error.code === 'string' && /^E[A-Z0-9]+$/.test(error.code)) return error.code;
  return errnoOf(error.cause);
}

/** Whether an error, or the one that caused it, has one of these errnos. */
export function hasErrno(error: unknown, ...names: readonly string[]): boolean {
  const errno = errnoOf(error);
  return errno !== null && names.includes(errno);
}

/** For `catch`: null when there is no such file; what else went wrong is thrown again. */
export function ifMissing(error: unknown): null {
  if (isMissing(error)) return null;
  throw error;
}

/** Whether there is no such file: an answer, where every other error of a read says nothing about what is there. */
export function isMissing(error: unknown): boolean {
  return hasErrno(error, 'ENOENT', 'ENOTDIR');
}

/** The message of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
