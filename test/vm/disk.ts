// A disk as a power cut finds it: with a write cache that is lost, or kept in part, when the power goes. It lives in the
// memory of the test; qemu reaches it over a socket (nbd.ts).
import type { Random } from '../sim/random.ts';

/** What is written whole or not at all: nothing smaller is promised by a disk. */
const SECTOR = 512;
/** Of the file system (file-system.ts), in sectors. */
const BLOCK = 8;
/** How a block of ext4's journal begins (JBD2_MAGIC_NUMBER). */
const JOURNAL = 0xc03b3998;

export interface Disk {
  readonly size: number;
  /** What the machine reads: its last writes, wherever they are. Not to be written to. */
  readonly content: Buffer;
  /** `through`: the write is lasting when it is done (force unit access). */
  write(offset: number, bytes: Buffer, through: boolean): void;
  /** Everything that was written is lasting. */
  flush(): void;
  /**
   * Of what is not lasting each sector is kept with this probability, since a disk writes its cache back when it likes. Heads and
   * ends of ext4's journal are kept whole: kernels before 6.10 do not mount what has half a commit block ("jbd2: avoid mount
   * failed when commit block is partial submitted"). So is its superblock, which has a checksum over two sectors.
   */
  losePower(random: Random, kept: number): void;
}

/** A disk with this content; offsets and sizes are multiples of 512. */
export function makeDisk(content: Buffer): Disk {
  const lasting = Buffer.from(content);
  const volatile = new Set<number>();
  const copySector = (sector: number, from: Buffer, to: Buffer): void => {
    from.copy(to, sector * SECTOR, sector * SECTOR, (sector + 1) * SECTOR);
  };
  const settle = (sector: number): void => {
    copySector(sector, content, lasting);
    volatile.delete(sector);
  };
  return {
    size: content.length,
    content,
    write(offset, bytes, through) {
      bytes.copy(content, offset);
      const end = (offset + bytes.length) / SECTOR;
      for (let sector = offset / SECTOR; sector < end; sector++) {
        if (through) settle(sector);
        else volatile.add(sector);
      }
    },
    flush() {
      for (const sector of volatile) settle(sector);
    },
    losePower(random, kept) {
      const whole = new Map<number, boolean>();
      for (const sector of volatile) {
        const block = sector - (sector % BLOCK);
        const isKept = whole.get(block) ?? random.chance(kept);
        if (block === 0 || content.readUInt32BE(block * SECTOR) === JOURNAL) whole.set(block, isKept);
        if (isKept) settle(sector);
      }
      for (const sector of volatile) copySector(sector, lasting, content);
      volatile.clear();
    },
  };
}
