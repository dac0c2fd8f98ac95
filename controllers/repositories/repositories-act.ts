// The acts of the repositories controller: packages are installed, hashed and deleted.
import type { Logger } from 'pino';
import type { RepositoryEntry } from '../../state/desired.ts';
import { containerId } from '../../state/container-id.ts';
import { isRemote } from '../../state/source.ts';
import { matches, parseRequirement, parseVersion } from '../../state/version.ts';
import { TerminalError } from '../failure.ts';
import type { PackageCache } from './package-cache.ts';
import type { InstallStep, RepositoryStep } from './repositories-plan.ts';
import type { Fetched, Incoming, PackageContent, Repository } from './repository.ts';
import { digestOf, openSource } from './repository-install.ts';
import { createRoom } from './repository-room.ts';

export interface RepositoryActsPorts {
  /** Those that are open now. */
  readonly repositories: () => readonly Repository[];
  /** One of them; rejects with TerminalError (UnknownRepository) when there is none of that name that can be used. */
  readonly repositoryFor: (id: string) => Promise<Repository>;
  readonly capacityOf: (id: string) => RepositoryEntry['capacity'];
  readonly cache: PackageCache;
  readonly openRemote: OpenRemote;
  /** Told what holds up an installation of this name that is under way; null: nothing does. */
  readonly held: (name: string, why: string | null) => void;
  /** Told when packages have come or gone. */
  readonly changed: () => void;
  readonly log: Pick<Logger, 'info'>;
}

/** A package on a server. */
export interface RemotePackage extends Pick<Fetched, 'into'> {
  /** In bytes. */
  readonly size: number;
  /** Bytes that would be fetched, with the donors that were given. */
  estimate(): Promise<number>;
  /** What it says of itself, unchecked. */
  inspect(): Promise<PackageContent>;
  close(): Promise<void>;
}

/** Asks a server for a package. Rejects when it does not have one, or cannot be reached now. */
export type OpenRemote = (
  url: URL,
  options: {
    /** Packages whose blocks are taken instead of asking for them, by path. */
    readonly donors: readonly string[];
    readonly signal: AbortSignal;
    readonly log: Pick<Logger, 'info'>;
    /** Told, for a person, what went wrong last and when it is tried again; null: it goes on. */
    readonly tellWaits?: (why: string | null) => void;
  },
) => Promise<RemotePackage>;

export interface RepositoryActs {
  act(step: RepositoryStep, signal: AbortSignal): Promise<void>;
  /** Installs a package that no repository holds; resolves with name:version. */
  install(repository: Repository, from: Coming, signal: AbortSignal): Promise<string>;
}

type Coming = Pick<Incoming, 'size' | 'content' | 'digest'>;

/** Which package may come in, and whether it may when another repository holds it as well. */
interface Admission {
  readonly accept: (content: PackageContent) => void;
  readonly beside: boolean;
}

export function createRepositoryActs(ports: RepositoryActsPorts): RepositoryActs {
  const { repositories, repositoryFor, cache, openRemote, held, changed, log } = ports;
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
    const digest = step.digest ?? 'any';
    const source = isRemote(step.source) ? await openUrl(step, repository, signal) : await openSource(step.source);
    try {
      const content = 'into' in source ? { resumable: step.name, into: source.into } : source;
      // An entry that asks for it here has none elsewhere that it takes: it names this repository.
      await install(repository, { size: source.size, content, digest }, signal, { accept, beside: true });
    } finally {
      await source.close();
    }
  }

  /** Without TLS anybody on the way may answer: only what a key or a digest vouches for is asked for then. */
  async function openUrl(
    { name, source, digest }: InstallStep,
    { entry }: Repository,
    signal: AbortSignal,
  ): Promise<RemotePackage> {
    const url = new URL(source);
    if (url.protocol !== 'https:' && digest === null && entry.keys.length === 0) {
      const cure = 'use https:, or give the entry a digest or the repository a key';
      throw new TerminalError('SourceNotTrusted', `source ${source}: anybody on the way could answer (http:); ${cure}`);
    }
    const donors = repositories()
      .flatMap((one) => one.packages())
      .filter((found) => found.name === name)
      .map(({ path }) => path);
    return await openRemote(url, { donors, signal, log, tellWaits: (why) => held(name, why) });
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
      if (step.op === 'install') await installFromSource(step, signal).finally(() => held(step.name, null));
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
