// Where a package that is not installed comes from: a file of the host, or one on a server.

/** Whether a source is on a server. */
export function isRemote(source: string): boolean {
  return /^https?:\/\//.test(source);
}
