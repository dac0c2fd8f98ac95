// What a crate says about its package: [package.metadata.npk] of its Cargo.toml, also by target.
import { join } from 'node:path';
import { z } from 'zod';
import type { ManifestSource } from '../../npk/manifest/manifest-source.ts';
import { checkSettings, manifestSetting } from '../settings.ts';
import type { Crate } from './cargo-metadata.ts';

const common = { manifest: manifestSetting.optional(), root: z.string().min(1).optional() };
const schema = z.strictObject({
  ...common,
  target: z.record(z.string(), z.strictObject({ ...common, use_cross: z.boolean().optional() })).default({}),
});

export interface CrateSettings {
  readonly manifest: ManifestSource;
  readonly root: string | null;
  /** Build with cross (https://github.com/cross-rs/cross) instead of cargo. */
  readonly useCross: boolean;
}

/**
 * The settings of a crate for a target triple: what the target says goes before what is said for all. `program` is the name
 * of the binary. Throws an Error that names file and field.
 */
export function crateSettings(crate: Crate, target: string, program: string): CrateSettings {
  const { name, version, manifest_path: file, directory, npk } = crate;
  const field = 'package.metadata.npk';
  const settings = checkSettings(schema, npk, { file, field });
  const own = settings.target[target];
  const manifest = own?.manifest ?? settings.manifest;
  const root = own?.root ?? settings.root;
  if (manifest === undefined)
    throw new Error(`${file}: ${field}.manifest: is missing, and so is ${field}.target.${target}.manifest`);
  const at = own?.manifest === undefined ? `${field}.manifest` : `${field}.target.${target}.manifest`;
  return {
    manifest:
      typeof manifest === 'string'
        ? { manifest: join(directory, manifest) }
        : {
            manifest: file,
            part: { field: at, text: JSON.stringify({ name, version, init: `/${program}`, ...manifest }) },
          },
    root: root === undefined ? null : join(directory, root),
    useCross: own?.use_cross === true,
  };
}
