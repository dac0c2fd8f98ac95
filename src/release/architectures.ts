// The processors that releases are made for, under the names that each tool has for them.

/** As Debian calls a processor, and so do the names of what is shipped. */
export type Architecture = 'amd64' | 'arm64';

export interface Names {
  /** Node's name, in the npm packages with its binary and koffi's. */
  readonly node: 'x64' | 'arm64';
  /** The prefix of the GNU tools that make and strip programs for it. */
  readonly gnu: string;
  /** The largest pages that its kernels have, in bytes. */
  readonly page: number;
  /** What runs its programs on another processor (qemu-user). */
  readonly emulator: string;
}

export const architectures: Readonly<Record<Architecture, Names>> = {
  amd64: { node: 'x64', gnu: 'x86_64-linux-gnu', page: 4096, emulator: 'qemu-x86_64-static' },
  arm64: { node: 'arm64', gnu: 'aarch64-linux-gnu', page: 65536, emulator: 'qemu-aarch64-static' },
};

/** The architectures that words name; an Error that lists the known ones at the first unknown word. */
export function readArchitectures(words: readonly string[]): readonly Architecture[] {
  const known = Object.keys(architectures) as Architecture[];
  return words.map((word) => {
    const found = known.find((each) => each === word);
    if (found === undefined)
      throw new Error(`${word}: no architecture that releases are made for; there are ${known.join(', ')}`);
    return found;
  });
}
