// northstate reexec: another runtime takes over under running containers.
import { resolve } from 'node:path';
import { ConnectionLost, ConsoleError } from '../client/northstate.ts';
import { say, withConsole, type ConsoleOptions } from './console.ts';
import { exitCodes, Failure } from './exit.ts';

export interface ReexecOptions extends ConsoleOptions {
  readonly to?: string;
  /** ms */
  readonly timeout: number;
}

/** Done when the runtime that has taken over answers. A Failure with exit code 3 says why it does not, and nothing has changed then. */
export async function reexec({ to, timeout, ...options }: ReexecOptions): Promise<void> {
  await withConsole(options, async (client) => {
    const request = { to: to === undefined ? null : resolve(to), timeout };
    try {
      const { runtime } = await client.call('reexec', request);
      say(options, `northstate ${runtime} has taken over`);
    } catch (error) {
      if (error instanceof ConsoleError && error.reason === 'reexec_refused') {
        const hint = 'nothing has changed; the log of the runtime says more';
        throw new Failure(error.message, { code: exitCodes.failed, hint });
      }
      if (!(error instanceof ConnectionLost)) throw error;
      const hint = 'northstate metrics and the log say which runtime runs; over a unix socket the answer comes';
      throw new Failure('the connection ended during it', { hint });
    }
  });
}
