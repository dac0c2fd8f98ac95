// What pages of memory that are larger than 4096 bytes ask of images.
import { presence, type Feature } from './feature.ts';

const usual = 4096;

/** The first Linux that reads erofs images whose blocks (4096 bytes) are smaller than its pages, compressed ones too. */
const smallErofsBlocks = [6, 8] as const;

/** For a kernel with pages of so many bytes, and of this release (`6.1.0-13-arm64`). */
export function pageFeatures(page: number, release: string): Feature[] {
  const pages: Feature = {
    ...{ group: 'images', name: 'memory pages', required: true, presence: 'present' },
    detail:
      page === usual
        ? `${page} bytes`
        : `${page} bytes: squashfs images need blocks of that size at least (--block-size)`,
    enable: null,
  };
  if (page === usual) return [pages];
  const [major = 0, minor = 0] = release.split('.').map((part) => Number.parseInt(part, 10));
  const [since, from] = smallErofsBlocks;
  const reads = major > since || (major === since && minor >= from);
  const erofs: Feature = {
    ...{ group: 'images', name: 'erofs with blocks of 4096 bytes', required: false, presence: presence(reads) },
    detail: reads ? '' : `erofs images cannot be mounted: this kernel has pages of ${page} bytes`,
    enable: `Linux ${since}.${from}, or squashfs images`,
  };
  return [pages, erofs];
}
