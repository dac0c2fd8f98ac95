// Where the packages of other tools and the answers to compare with are: beside the repository.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Manifest } from '../../state/schema/manifest.ts';
import { manifestForInspect } from '../../src/npk/manifest/manifest-json.ts';

const folder = join(import.meta.dirname, '../fixtures');

/** What Northstar packs and runs and we refuse: a resource directory that leads out of its image. */
export const refused: ReadonlySet<string> = new Set(['mount-resource-dotdot']);

/** The path of a fixture. Throws, saying where it is looked for, when the fixtures are not there. */
export function fixture(...path: readonly string[]): string {
  const found = join(folder, ...path);
  if (!existsSync(found))
    throw new Error(
      `${found} is missing: these tests compare with the fixtures of Northstar's packages beside the repository`,
    );
  return found;
}

/** The packages in a folder of the fixtures. */
export function packagesIn(...path: readonly string[]): string[] {
  return readdirSync(fixture(...path))
    .filter((name) => name.endsWith('.npk'))
    .map((name) => [...path, name].join('/'));
}

/** An expected answer, which the caller knows the type of. */
export function expected(name: string): unknown {
  return JSON.parse(readFileSync(fixture('expected', name), 'utf8'));
}

interface InspectManifest {
  console?: { permissions: string | string[] };
  capabilities?: string[];
  suppl_groups?: string[];
  mounts?: Record<string, { options?: string }>;
}

/** Asserts that a manifest is shown as expected; what has no order is compared without. */
export function assertManifest(manifest: Manifest, wanted: unknown): void {
  const shown: unknown = JSON.parse(JSON.stringify(manifestForInspect(manifest)));
  assert.deepEqual(ordered(shown), ordered(wanted));
}

function ordered(manifest: unknown): unknown {
  const copy = structuredClone(manifest) as InspectManifest;
  if (Array.isArray(copy.console?.permissions)) copy.console.permissions.sort();
  copy.capabilities?.sort();
  copy.suppl_groups?.sort();
  for (const mount of Object.values(copy.mounts ?? {})) {
    if (mount.options !== undefined) mount.options = mount.options.split(',').sort().join(',');
  }
  return copy;
}
