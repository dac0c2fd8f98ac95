// northstate install: a package from a file, or from a server.
import { open } from 'node:fs/promises';
import { isRemote } from '../../state/source.ts';
import { lifetimeOf, say, warnOfLoss, withConsole, type PatchOptions } from './console.ts';
import { exitCodes, Failure } from './exit.ts';

export interface InstallOptions extends PatchOptions {
  readonly dryRun?: boolean;
  /** ms. */
  readonly timeout: number;
}

/** install FILE REPOSITORY, or install URL [REPOSITORY]. */
export async function install(what: string, repository: string | null, options: InstallOptions): Promise<void> {
  if (isRemote(what)) await installAddress(what, repository, options);
  else if (options.dryRun === true)
    throw new Failure('--dry-run is of an address', { code: exitCodes.usage, hint: 'inspect shows what a file is' });
  else if (repository === null)
    throw new Failure('a file needs a repository', {
      code: exitCodes.usage,
      hint: `northstate install ${what} REPOSITORY; northstate repositories lists them`,
    });
  else await installFile(what, repository, options);
}

async function installAddress(
  source: string,
  repository: string | null,
  { dryRun = false, timeout, ...options }: InstallOptions,
): Promise<void> {
  const lifetime = lifetimeOf(options);
  await withConsole(options, async (client) => {
    const body = { source, repository, dry_run: dryRun, timeout, ...lifetime };
    const { container, size, fetch, ...lasting } = await client.call('install_source', body);
    say(options, dryRun ? `${container}: ${fetch} of ${size} bytes to fetch` : `${container} installed`);
    warnOfLoss(lasting);
  });
}

async function installFile(file: string, repository: string, options: PatchOptions): Promise<void> {
  const lifetime = lifetimeOf(options);
  await withConsole(options, async (client) => {
    const handle = await open(file).catch((error: unknown) => {
      const { code, message } = error as NodeJS.ErrnoException;
      throw new Failure(`open ${file}: ${code ?? message}`, { hint: 'name a readable package' });
    });
    const { size } = await handle.stat();
    if (size === 0) throw new Failure(`${file} is empty`, { hint: 'name a package' });
    // The stream closes the file. A file that grows meanwhile is sent as long as it was announced.
    const bytes = handle.createReadStream({ end: size - 1, highWaterMark: 256 * 1024 });
    let why: string | undefined;
    const container = await client.install(
      repository,
      { size, bytes },
      { ...lifetime, notDurable: (is) => (why = is) },
    );
    say(options, `${container} installed`);
    warnOfLoss({ not_durable: why });
  });
}
