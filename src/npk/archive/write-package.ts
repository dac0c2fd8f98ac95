// Writing a package's file: beside its target, read back as any reader would, and renamed.
import { randomUUID, type KeyObject } from 'node:crypto';
import { open, rename, rm, type FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fsyncDirectory } from '../../../native/file.ts';
import type { Manifest } from '../../../state/schema/manifest.ts';
import { FORMAT_VERSION } from '../format.ts';
import { publicKeyOf } from '../signature/keys.ts';
import { manifestYaml } from '../manifest/manifest-yaml.ts';
import { IMAGE_ALIGNMENT, readPackage } from '../open-package.ts';
import { signatureYaml } from '../signature/sign.ts';
import type { NewTree } from '../image/write-verity.ts';
import { writeArchive, type NewEntry } from './zip-writer.ts';

/** What a package is made of. `tree` and `key` are there for a signed one. */
export interface Parts {
  readonly manifest: Manifest;
  /** `size` in bytes, whole blocks. */
  readonly image: { readonly handle: FileHandle; readonly size: number };
  readonly tree: NewTree | null;
  readonly key: KeyObject | null;
}

/** Writes a package, replacing one of the same path. The file appears when it is complete, on the disk and was read back. */
export async function writePackage(path: string, parts: Parts, onProgress: (part: number) => void): Promise<void> {
  const partial = join(dirname(path), `.${basename(path)}.${randomUUID()}`);
  try {
    await writeEntries(partial, parts, onProgress);
    await readPackage(partial, { keys: parts.key === null ? null : [publicKeyOf(parts.key)] });
    await rename(partial, path);
    await fsyncDirectory(dirname(path));
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}

async function writeEntries(path: string, parts: Parts, onProgress: (part: number) => void): Promise<void> {
  const { manifest, image, tree, key } = parts;
  const comment = `version: ${FORMAT_VERSION}\n`;
  const yaml = manifestYaml(manifest);
  const entries: NewEntry[] = [{ name: 'manifest.yaml', content: [{ bytes: Buffer.from(yaml) }], alignment: 1 }];
  if (tree !== null && key !== null) {
    const signed = { comment, manifest: yaml, rootHash: tree.rootHash, verityOffset: image.size };
    const text = signatureYaml(signed, key);
    entries.push({ name: 'signature.yaml', content: [{ bytes: Buffer.from(text) }], alignment: 1 });
  }
  const content = tree === null ? [image] : [image, { bytes: tree.bytes }];
  entries.push({ name: 'fs.img', content, alignment: IMAGE_ALIGNMENT });
  await using output = await open(path, 'wx', 0o644);
  await writeArchive(output, entries, comment, (bytes) => onProgress(Math.min(1, bytes / image.size)));
  await output.sync();
}
