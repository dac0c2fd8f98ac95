// What the kernel has answered, out of an error.

/** The errno's name (`ENOENT`) that an error, or the one that caused it, carries; null where no call has failed. */
export function errnoOf(error: unknown): string | null {
  if (!(error instanceof Error)) return null;
  if ('code' in error && typeof error.code === 'string' && /^E[A-Z0-9]+$/.test(error.code)) return error.code;
  return errnoOf(error.cause);
}

/** Whether there is no such file: an answer, where every other error of a read says nothing about what is there. */
export function isMissing(error: unknown): boolean {
  const errno = errnoOf(error);
  return errno === 'ENOENT' || errno === 'ENOTDIR';
}

/** The message of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
