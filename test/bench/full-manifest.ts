// A manifest with every kind of mount, the default profile and control groups, and what the floor is told to do the same.
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { masked } from '../../controllers/sandbox/specification.ts';
import { seccompRules } from '../../controllers/sandbox/seccomp-profile.ts';
import { compileFor, ownArchitecture } from '../../native/seccomp-filter.ts';

/** Every Debian has it. */
const bound = '/etc/skel';

/** Fields of the manifest, as YAML; the resource is the example `greeting`. */
export const fullManifest = `seccomp: { profile: default }
mounts:
  /dev: { type: dev }
  /proc: { type: proc }
  /sys: { type: sysfs }
  /tmp: { type: tmpfs, size: 1Mi }
  /data: { type: persist }
  /ro: { type: bind, host: ${bound} }
  /rw: { type: bind, host: ${bound}, options: 'rw,nosuid,nodev,noexec' }
  /shared: { type: resource, name: greeting, version: ^1, dir: /, options: 'noexec,nosuid,nodev' }
  /sockets: { type: sockets }
`;

/** The package of the resource, which the set-up has made. */
export const fullResource = join(import.meta.dirname, '../../.build/examples/greeting-1.0.0.npk');

/** Options of floor.c for the same mounts and the same filter, which is written to `file`; `image` is mounted. */
export async function fullFloor(image: string, file: string): Promise<string[]> {
  await writeFile(file, compileFor(ownArchitecture, seccompRules({ profile: 'default' }, [])));
  const binds = [
    `${join(image, 'dev')}:/dev`,
    ...['/data', '/ro', '/rw', '/sockets'].map((target) => `${bound}:${target}`),
  ];
  const hidden = [...masked.proc.map((path) => `/proc/${path}`), ...masked.sysfs.map((path) => `/sys/${path}`)];
  const options = (option: string, values: readonly string[]) => values.flatMap((value) => [option, value]);
  return [
    ...options('-b', [...binds, `${image}:/shared`]),
    ...['-s', '/sys', '-t', '/tmp'],
    ...options(
      '-m',
      hidden.filter((path) => existsSync(path)),
    ),
    ...['-f', file],
  ];
}
