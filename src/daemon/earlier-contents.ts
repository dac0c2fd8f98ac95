// What earlier boots have read of packages, where their word counts.
import { openPackageContents, type PackageContents } from '../../controllers/repositories/package-contents.ts';
import type { Configuration } from '../config/configuration.ts';
import type { Log } from '../logs/log.ts';

/** Its name in stateDir. */
const fileName = 'packages.read';

/**
 * Null where it does not count. Nobody signs it: where documents must be signed, who may write stateDir must not say what a package
 * is, unless the configuration trusts it (`bootPlan: trusted`). And only a bundle has a name (`program`, its URL) that changes
 * with it.
 */
export function earlierContents(
  { stateDir, documentKeys, bootPlan }: Pick<Configuration, 'stateDir' | 'documentKeys' | 'bootPlan'>,
  { log, program = import.meta.url }: { readonly log: Pick<Log, 'debug'>; readonly program?: string },
): PackageContents | null {
  const build = /\/reconciler-([0-9a-f]+)\.cjs$/.exec(program)?.[1];
  if (build === undefined || (documentKeys.length > 0 && bootPlan !== 'trusted')) return null;
  return openPackageContents({ file: `${stateDir}/${fileName}`, owner: process.getuid?.() ?? 0, build, log });
}
