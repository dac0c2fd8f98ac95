// An end that is asked for while the runtime comes up: as long as nothing was begun, nothing has to be there to be taken down.
import { readdirSync } from 'node:fs';
import type { Logger } from 'pino';
import { imagesDirectory } from '../../controllers/mounts/mounts.ts';
import { hasErrno } from '../../state/errno.ts';
import type { LauncherLink } from './launcher-link.ts';

/** Ends the runtime with 0 when the end was asked for, and this is the first reconciler and finds nothing that runs or is mounted. */
export async function endIfUnused(options: {
  readonly link: LauncherLink;
  readonly runDir: string;
  readonly log: Pick<Logger, 'info'>;
}): Promise<void> {
  const { link, runDir, log } = options;
  const { hello, attempts } = link.remembered;
  if (!link.isAskedToEnd() || hello.starts !== 1 || attempts.length > 0 || !isEmpty(imagesDirectory(runDir))) return;
  await link.launcher.stop(0);
  log.info({ status: 0 }, 'ended before anything was begun');
  process.exit(0);
}

function isEmpty(directory: string): boolean {
  try {
    return readdirSync(directory).length === 0;
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return true;
    throw error;
  }
}
