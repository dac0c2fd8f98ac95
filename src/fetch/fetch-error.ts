// What goes wrong between us and a server.

/** `again`: the same request may do later. `changed`: the file on the server is another one than it was. */
export type FetchFault = 'again' | 'changed' | 'final';

/** A request that gave no bytes, or not those that were asked for. The message names the address, without its query. */
export class FetchError extends Error {
  readonly fault: FetchFault;
  /** ms that the server asks us to wait; null = it does not say. */
  readonly retryAfter: number | null;

  constructor(
    fault: FetchFault,
    message: string,
    options: ErrorOptions & { readonly retryAfter?: number | null | undefined } = {},
  ) {
    super(message, options);
    this.name = 'FetchError';
    this.fault = fault;
    this.retryAfter = options.retryAfter ?? null;
  }
}

/** An address for people and logs: a query may be a secret. */
export function shown(url: URL): string {
  return `${url.origin}${url.pathname}`;
}
