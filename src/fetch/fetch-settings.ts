// How servers are reached that packages come from.

/** How servers are reached; `fetch` of the configuration. */
export interface FetchSettings {
  /** http://HOST:PORT of a proxy; null = none. */
  readonly proxy: string | null;
  /** Hosts that are reached without it: HOST, .DOMAIN, HOST:PORT or *. */
  readonly noProxy: readonly string[];
  /** PEM files: certificates to trust instead of those that Node brings, and what we show a server that asks. */
  readonly ca: string | null;
  readonly cert: string | null;
  readonly key: string | null;
  /** Bytes a second over all downloads; null = as fast as it goes. */
  readonly rate: number | null;
  /** ms without a byte after which a server is given up. */
  readonly stall: number;
}

/** Where the configuration says nothing. */
export const defaultFetchSettings: FetchSettings = {
  proxy: null,
  noProxy: [],
  ca: null,
  cert: null,
  key: null,
  rate: null,
  stall: 30_000,
};
