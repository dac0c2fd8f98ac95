// What a package holds, for people and for scripts.
import type { Manifest } from '../../state/schema/manifest.ts';
import type { Bytes } from './archive/bytes.ts';
import { named, PackageError } from './package-error.ts';
import { readSuperblock, type Image } from './image/superblock.ts';
import { manifestForInspect } from './manifest/manifest-json.ts';
import { openFile, readContent } from './open-package.ts';
import { parseSignature, type Signature } from './signature/signature.ts';
import { readVerity, type Verity } from './image/verity.ts';

/** A part that is there but cannot be read. */
export interface Unreadable {
  readonly error: string;
}

/** What `northstate inspect` shows. */
export interface Inspection {
  readonly path: string;
  readonly archive: {
    readonly size: number;
    readonly format: string;
    readonly comment: string;
    readonly entries: readonly string[];
  };
  readonly manifest: Manifest;
  readonly deprecations: readonly string[];
  /** The texts of manifest.yaml and signature.yaml as they are in the file. */
  readonly source: { readonly manifest: string; readonly signature: string | null };
  readonly image: Image;
  readonly signature: Signature | Unreadable | null;
  readonly verity: Verity | Unreadable | null;
}

/** Reads a package for showing it. Throws a PackageError when it is none; a bad signature is shown, not judged. */
export async function inspect(path: string): Promise<Inspection> {
  const { handle, bytes } = await openFile(path);
  try {
    return await inspection(path, bytes);
  } catch (error) {
    throw named(path, error);
  } finally {
    await handle.close();
  }
}

async function inspection(path: string, bytes: Bytes): Promise<Inspection> {
  const { archive, format, manifest, image, signature } = await readContent(bytes, null);
  const parsed = signature === null ? null : await orUnreadable(parseSignature(signature));
  const { used } = await readSuperblock(bytes, image.offset, image.size);
  const offset = parsed !== null && 'verity' in parsed ? parsed.verity.offset : 4096 * Math.ceil(used / 4096);
  return {
    path,
    archive: {
      size: bytes.size,
      format,
      comment: archive.comment.toString('utf8'),
      entries: [...archive.entries.keys()],
    },
    manifest: manifest.read,
    deprecations: manifest.deprecations,
    source: { manifest: manifest.bytes.toString('utf8'), signature: signature?.toString('utf8') ?? null },
    image,
    signature: parsed,
    verity: await orUnreadable(readVerity(bytes, image, offset)),
  };
}

async function orUnreadable<T>(reading: Promise<T>): Promise<T | Unreadable> {
  try {
    return await reading;
  } catch (error) {
    if (!(error instanceof PackageError)) throw error;
    return { error: error.message };
  }
}

/** For JSON.stringify: {archive, manifest, image, signature, verity}; null where the package has none. */
export function inspectJson({ archive, manifest, image, signature, verity }: Inspection): Record<string, unknown> {
  return { archive, manifest: manifestForInspect(manifest), image, signature, verity };
}

/** One line in Northstar's words (`northstar-sextant inspect --short`). */
export function inspectShort({ archive, manifest: { name, version, init } }: Inspection): string {
  const resource = init === undefined ? 'yes' : 'no';
  return `name: ${name}, version: ${version}, NPK version: ${archive.format}, resource container: ${resource}`;
}

/** Sections for people, ending with a line break. Whatever comes from the file is stripped of control characters. */
export function inspectText({ path, archive, source, image, verity, deprecations }: Inspection): string {
  const { offset, size, type, compression } = image;
  const sections: [string, string][] = [
    ['NPK Content', archive.entries.join('\n')],
    ['manifest.yaml', source.manifest],
    ...(source.signature === null ? [] : ([['signature.yaml', source.signature]] as [string, string][])),
    ['fs.img', `${type}, ${compression}, ${size} bytes at ${offset}`],
    ...(verity === null ? [] : ([['dm-verity', verityText(verity)]] as [string, string][])),
    ...(deprecations.length === 0 ? [] : ([['Deprecated', deprecations.join('\n')]] as [string, string][])),
  ];
  const text = sections.map(([title, content]) => `\n## ${title}\n${content.trimEnd()}\n`).join('');
  return printable(`# inspection of '${path}' (format ${archive.format})\n${text}`);
}

function verityText(verity: Verity | Unreadable): string {
  return Object.entries(verity)
    .map(([name, value]) => `${name}: ${value}`)
    .join('\n');
}

/** A terminal obeys control characters; the text of a package must not give it orders. */
function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]/gu, (character) => (character === '\n' || character === '\t' ? character : '?'));
}
