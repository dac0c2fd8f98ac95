// northstate pack: a manifest and a directory, or the folder of an npm package, become a package.
import { hasNpmPackage, npmPacking } from '../build/npm/npm-package.ts';
import { writeDependencies } from '../build/dependency-file.ts';
import type { Addition } from '../npk/image/root-directory.ts';
import type { PackOptions } from '../npk/pack.ts';
import { Failure, exitCodes } from './exit.ts';
import { make, tell, type Made, type PackingOptions } from './packing.ts';

export interface PackCommand extends PackingOptions, Pick<PackOptions, 'image' | 'salt' | 'uuid' | 'allowUnknown'> {
  readonly manifest?: string;
  /** The same, in the words of Northstar's tool. */
  readonly manifestPath?: string;
  readonly root?: string;
  readonly add?: readonly Addition[];
  readonly out: string;
  readonly depfile?: string;
  readonly node?: string;
}

/** Makes a package, or clones of it, and tells the paths and the warnings. */
export async function pack(folder: string | undefined, given: PackCommand): Promise<void> {
  if (given.manifest !== undefined && given.manifestPath !== undefined) throw oneManifest();
  const manifest = given.manifest ?? given.manifestPath;
  const command = { ...given, ...(manifest !== undefined && { manifest }) };
  refuseContradictions(folder, command);
  await tell(command.json === true, async () => [
    command.manifest === undefined ? await packFolder(folder ?? '.', command) : await packManifest(command),
  ]);
}

async function packManifest(command: PackCommand): Promise<Made> {
  const { manifest = '', root, add: additions, image, out, salt, uuid, allowUnknown, depfile, key } = command;
  const made = await make({ manifest, root, additions, image, out, salt, uuid, allowUnknown }, command);
  const [first] = made.packages;
  if (depfile !== undefined && first !== undefined) {
    const files = [manifest, ...[key, image].filter((file) => file !== undefined)];
    const trees = [...(root === undefined ? [] : [root]), ...(additions ?? []).map(({ from }) => from)];
    await writeDependencies(depfile, { target: first.path, files, trees });
  }
  return made;
}

async function packFolder(folder: string, command: PackCommand): Promise<Made> {
  const { out, salt, uuid, allowUnknown, node } = command;
  await using packing = await npmPacking(folder, { node });
  return await make({ ...packing.options, out, salt, uuid, allowUnknown }, command);
}

function oneManifest(): Failure {
  return new Failure('expected one manifest: northstate pack --manifest FILE --out PATH', {
    code: exitCodes.usage,
    hint: 'or the folder of an npm package: its package.json has a key "northstate"',
  });
}

function refuseContradictions(folder: string | undefined, command: PackCommand): void {
  const { manifest, image, depfile, clones } = command;
  const wrong = (message: string): Failure => new Failure(message, { code: exitCodes.usage });
  if (manifest === undefined) {
    if (folder === undefined && !hasNpmPackage('.')) throw oneManifest();
    for (const option of ['root', 'add', 'image', 'depfile'] as const) {
      if (command[option] !== undefined) throw wrong(`--${option} needs --manifest`);
    }
    return;
  }
  if (folder !== undefined) throw wrong('a folder and --manifest exclude each other');
  if (command.node !== undefined) throw wrong('--node is for the folder of an npm package, without --manifest');
  if (depfile !== undefined && clones !== undefined) throw wrong('--depfile and --clones exclude each other');
  if (image === undefined) return;
  // An image that is there already is taken as it is.
  const words = {
    ...{ root: '--root', add: '--add', fs: '--fs', compression: '--compression' },
    ...{ blockSize: '--block-size', aligned: '--aligned' },
  };
  for (const [option, word] of Object.entries(words)) {
    if (command[option as keyof typeof words] !== undefined) throw wrong(`--image and ${word} exclude each other`);
  }
}
