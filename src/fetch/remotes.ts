// Packages on servers as the repositories take them. What it takes to speak to a server is loaded with the first one.
import type { OpenRemote } from '../../controllers/repositories/repositories-act.ts';
import type { FetchSettings } from './fetch-settings.ts';
import type { Http } from './http.ts';

/** Gives what opens packages on servers. Those that are open share connections and rate; with the last one all connections end. */
export function createRemotes(settings: FetchSettings): OpenRemote {
  let http: Http | null = null;
  let open = 0;

  function release(): void {
    open -= 1;
    if (open > 0) return;
    http?.close();
    http = null;
  }

  return async (url, { donors, signal, log, tellWaits }) => {
    open += 1;
    try {
      const [{ createHttp }, { openFetch }] = await Promise.all([import('./http.ts'), import('./fetch-package.ts')]);
      http ??= createHttp(settings);
      const skipped = (message: string): void => log.info({ reason: message }, 'no blocks are taken from a package');
      const found = await openFetch(http, url, { donors, signal, skipped, ...(tellWaits && { tellWaits }) });
      return {
        ...found,
        async close() {
          await found.close().finally(release);
        },
      };
    } catch (error) {
      release();
      throw error;
    }
  };
}
