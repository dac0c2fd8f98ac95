// The programs that commands start, and the launcher.
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { launcherHint, launcherProgram } from '../installation.ts';
import { presence, type Feature } from './feature.ts';

const programs = [
  ['mksquashfs', 'squashfs-tools', 'northstate pack cannot make squashfs images'],
  ['unsquashfs', 'squashfs-tools', 'northstate unpack cannot open squashfs images'],
  ['mkfs.erofs', 'erofs-utils', 'northstate pack --fs erofs cannot make images'],
  ['fsck.erofs', 'erofs-utils', 'northstate unpack cannot open erofs images'],
] as const;

export function programFeatures(): Feature[] {
  const launcher = launcherProgram();
  const isBuilt = isExecutable(launcher);
  return [
    {
      ...{ group: 'programs', name: 'the launcher', required: true, presence: presence(isBuilt) },
      ...{ detail: isBuilt ? '' : `${launcher} is not there`, enable: launcherHint() },
    },
    ...programs.map(([name, debianPackage, without]): Feature => {
      const path = (process.env['PATH'] ?? '')
        .split(delimiter)
        .map((folder) => join(folder, name))
        .find(isExecutable);
      return {
        ...{ group: 'programs', name, required: false, presence: presence(path !== undefined) },
        ...{ detail: path ?? without, enable: `apt-get install ${debianPackage}` },
      };
    }),
  ];
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    // Not there, or not for us: either way it cannot be run.
    return false;
  }
}
