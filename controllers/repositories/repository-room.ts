// Who may come in: the capacity of repositories, and that no container is there twice. An install takes its room before its
// first byte, so that many at once cannot take more than there is.
import type { RepositoryEntry } from '../../state/desired.ts';
import { TerminalError } from '../failure.ts';
import type { Repository } from './repository.ts';

export interface Room {
  /** Takes room for a package of `size` bytes. Throws TerminalError (RepositoryFull). */
  take(repository: Repository, size: number): Claim;
}

export interface Claim {
  /** Takes the name, too, once it is known. Throws InstalledAlready. `beside`: what other repositories hold is no obstacle. */
  name(id: string, beside: boolean): void;
  /** The package is there, or will never be. */
  release(): void;
}

/** A container that is there already: in this repository (AlreadyInstalled) or in another one (Duplicate). */
export class InstalledAlready extends TerminalError {
  /** name:version. */
  readonly container: string;

  constructor(container: string, repository: string, reason: 'AlreadyInstalled' | 'Duplicate') {
    super(reason, `${container} is installed already, in repository ${repository}`);
    this.container = container;
  }
}

/** `open` gives the repositories as they are, `capacityOf` the limits that are in force now. */
export function createRoom(
  open: () => readonly Repository[],
  capacityOf: (repository: string) => RepositoryEntry['capacity'],
): Room {
  const taken = new Set<{ readonly repository: string; readonly size: number; id: string | null }>();

  return {
    take(repository, size) {
      const { id } = repository.entry;
      const { packages, size: used } = repository.observed();
      const coming = [...taken].filter((each) => each.repository === id);
      const bytes = coming.reduce((sum, each) => sum + each.size, used + size);
      const { containers: most, size: largest } = capacityOf(id);
      const full = (limit: string) => new TerminalError('RepositoryFull', `repository ${id} is full: ${limit}`);
      if (most !== null && packages + coming.length >= most) throw full(`it may hold ${most} packages`);
      if (largest !== null && bytes > largest) throw full(`it may hold ${largest} bytes`);
      const mine: { repository: string; size: number; id: string | null } = { repository: id, size, id: null };
      taken.add(mine);
      return {
        name(name, beside) {
          const counts = (repository: string): boolean => !beside || repository === id;
          const holders = open().filter((one) => one.packages().some((found) => found.id === name));
          const coming = [...taken].flatMap((each) => (each.id === name ? each.repository : []));
          const twice = [...holders.map(({ entry }) => entry.id), ...coming].find(counts);
          if (twice === undefined) {
            mine.id = name;
            return;
          }
          throw new InstalledAlready(name, twice, twice === id ? 'AlreadyInstalled' : 'Duplicate');
        },
        release: () => void taken.delete(mine),
      };
    },
  };
}
