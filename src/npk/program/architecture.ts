// The processors that programs are made for: their names, and their numbers in ELF files.
import { arch } from 'node:os';

export interface Architecture {
  /** As `uname -m` says it. */
  readonly name: string;
  /** e_machine, elf(5). */
  readonly machine: number;
  readonly bits: 32 | 64;
  readonly bigEndian?: true;
  /** The directories of Debian's C library are called after it. */
  readonly multiarch: string;
  /** What else it is called: by Node, Debian, Rust, CMake and the kernel. */
  readonly aliases: readonly string[];
}

const architectures: readonly Architecture[] = [
  { name: 'x86_64', machine: 62, bits: 64, multiarch: 'x86_64-linux-gnu', aliases: ['x64', 'amd64'] },
  { name: 'aarch64', machine: 183, bits: 64, multiarch: 'aarch64-linux-gnu', aliases: ['arm64'] },
  {
    name: 'arm',
    machine: 40,
    bits: 32,
    multiarch: 'arm-linux-gnueabihf',
    aliases: ['armhf', 'armel', 'armv5te', 'armv6', 'armv6l', 'armv7', 'armv7a', 'armv7l', 'thumbv7neon'],
  },
  {
    name: 'i686',
    machine: 3,
    bits: 32,
    multiarch: 'i386-linux-gnu',
    aliases: ['ia32', 'x86', 'i386', 'i486', 'i586'],
  },
  {
    name: 'riscv64',
    machine: 243,
    bits: 64,
    multiarch: 'riscv64-linux-gnu',
    aliases: ['riscv64gc', 'riscv64a23'],
  },
  { name: 'ppc64le', machine: 21, bits: 64, multiarch: 'powerpc64le-linux-gnu', aliases: ['powerpc64le', 'ppc64el'] },
  { name: 's390x', machine: 22, bits: 64, bigEndian: true, multiarch: 's390x-linux-gnu', aliases: [] },
];

/** The names that `architectureNamed` knows first. */
export const architectureNames = architectures.map(({ name }) => name);

/** What this machine is, where it is one of those. */
export const hostArchitecture = architectureNamed(arch());

/**
 * The architecture of a name such as `arm64`, or of a target triple such as `aarch64-unknown-linux-musl`; null when it
 * is none that is known here.
 */
export function architectureNamed(name: string): Architecture | null {
  const [first = ''] = name.toLowerCase().split('-', 1);
  return architectures.find((each) => each.name === first || each.aliases.includes(first)) ?? null;
}

/** What the head of an ELF file says it was made for, in words. */
export function machineName(machine: number, bits: 32 | 64, bigEndian: boolean): string {
  const known = architectures.find((each) => each.machine === machine && each.bits === bits);
  if (known !== undefined && (known.bigEndian === true) === bigEndian) return known.name;
  return `machine ${machine} of ${bits} bits, ${bigEndian ? 'big' : 'little'} endian`;
}
