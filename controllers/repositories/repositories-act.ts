// The acts of the repositories controller: packages are installed, hashed and deleted.
import type { Logger } from 'pino';
import type { RepositoryEntry } from '../../state/desired.ts';
import { containerId } from '../../state/container-id.ts';
import { matches, parseRequirement, parseVersion } from '../../state/version.ts';
import { TerminalError } from '../failure.ts';
import type { PackageCache } from './package-cache.ts';
import type { InstallStep, RepositoryStep } from './repositories-plan.ts';
import type { PackageContent, Repository } from './repository.ts';
import { digestOf, openSource } from './repository-install.ts';
import { createRoom } from './repository-room.ts';

export interface RepositoryActsPorts {
  /** Those that are open now. */
  readonly repositories: () => readonly Repository[];
  /** One of them; rejects with TerminalError (UnknownRepository) when there is none of that name that can be used. */
  readonly repositoryFor: (id: string) => Promise<Repository>;
  readonly capacityOf: (id: string) => RepositoryEntry['capacity'];
  readonly cache: PackageCache;
  /** Told when packages have come or gone. */
  readonly changed: () => void;
  readonly log: Pick<Logger, 'info'>;
}

export interface RepositoryActs {
  act(step: RepositoryStep, signal: AbortSignal): Promise<void>;
  /** Installs a package that no repository holds; resolves with name:version. */
  install(repository: Repository, from: Coming, signal: AbortSignal): Promise<string>;
}

interface Coming {
  readonly size: number;
  readonly bytes: AsyncIterable<Uint8Array>;
  readonly digest: string;
}

/** Which package may come in, and whether it may when another repository holds it as well. */
interface Admission {
  readonly accept: (content: PackageContent) => void;
  readonly beside: boolean;
}

export function createRepositoryActs(ports: RepositoryActsPorts): RepositoryActs {
  const { repositories, repositoryFor, cache, changed, log } = ports;
  const room = createRoom(repositories, ports.capacityOf);

  async function install(
    repository: Repository,
    from: Coming,
    signal: AbortSignal,
    { accept, beside }: Admission,
  ): Promise<string> {
    const claim = room.take(repository, from.size);
    const admit = (content: PackageContent) => {
      accept(content);
      claim.name(containerId(content.name, content.version), beside);
    };
    try {
      const { id } = await repository.install({ ...from, admit, signal });
      changed();
      log.info({ container: id, repository: repository.entry.id }, 'package installed');
      return id;
    } finally {
      claim.release();
    }
  }

  async function installFromSource(step: InstallStep, signal: AbortSignal): Promise<void> {
    const repository = await repositoryFor(step.repository);
    const accept = ({ name, version }: PackageContent) => {
      if (name === step.name && step.unwanted.includes(version)) {
        const message = `source ${step.source}: holds ${name} ${version}, which another entry wants absent`;
        throw new TerminalError('WrongPackage', message);
      }
      if (name === step.name && fits(step.version, version)) return;
      const asked = `${step.name} ${step.version ?? ''}`.trimEnd();
      throw new TerminalError('WrongPackage', `source ${step.source}: holds ${name} ${version}, not ${asked}`);
    };
    const source = await openSource(step.source);
    try {
      // An entry that asks for it here has none elsewhere that it takes: it names this repository.
      const from = { ...source, digest: step.digest ?? 'any' };
      await install(repository, from, signal, { accept, beside: true });
    } finally {
      await source.close();
    }
  }

  async function findDigest(id: string, path: string, signal: AbortSignal): Promise<void> {
    const found = repositories()
      .flatMap((one) => one.packages())
      .find((one) => one.path === path && one.id === id);
    if (found === undefined) return;
    cache.add({ ...found, digest: await digestOf(path, signal) });
    await (await repositoryFor(found.repository)).look(path);
    changed();
  }

  async function uninstall(id: string, path: string): Promise<void> {
    const found = repositories().find((one) => one.packages().some((p) => p.path === path && p.id === id));
    if (found === undefined) return;
    await found.remove(path);
    changed();
    log.info({ container: id, repository: found.entry.id }, 'package deleted');
  }

  return {
    install: (repository, from, signal) =>
      install(repository, from, signal, { accept: () => undefined, beside: false }),
    async act(step, signal) {
      if (step.op === 'install') await installFromSource(step, signal);
      else if (step.op === 'digest') await findDigest(step.id, step.path, signal);
      else await uninstall(step.id, step.path);
    },
  };
}

/** Whether a version is the one, or meets the requirement, that an entry has; null = any. */
function fits(asked: string | null, version: string): boolean {
  if (asked === null) return true;
  return /^\d+\.\d+\.\d+$/.test(asked) ? parseVersion(asked) === version : matches(parseRequirement(asked), version);
}
