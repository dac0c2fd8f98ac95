// What images are mounted with: loop devices, the file systems and their compressions, dm-verity.
import { existsSync } from 'node:fs';
import { release } from 'node:os';
import { checkVerity, NoDeviceMapper } from '../../native/device-mapper.ts';
import { pageSize } from '../../native/page-size.ts';
import { presence, type Feature, type Presence } from './feature.ts';
import { hasModule, hasOption, hasSymbol, textOf } from './kernel-config.ts';
import { pageFeatures } from './pages.ts';
import { messageOf } from '../../state/errno.ts';

/** The function of each compression in fs/squashfs, and what brings it. */
const compressions = [
  ['gzip', 'zlib_uncompress', 'CONFIG_SQUASHFS_ZLIB', true],
  ['xz', 'squashfs_xz_uncompress', 'CONFIG_SQUASHFS_XZ', false],
  ['zstd', 'zstd_uncompress', 'CONFIG_SQUASHFS_ZSTD', false],
  ['lzo', 'lzo_uncompress', 'CONFIG_SQUASHFS_LZO', false],
  ['lz4', 'lz4_uncompress', 'CONFIG_SQUASHFS_LZ4', false],
] as const;

export async function imageFeatures(): Promise<Feature[]> {
  return [
    loop(),
    fileSystem('squashfs', 'CONFIG_SQUASHFS', true),
    ...compressions.map(compression),
    fileSystem('erofs', 'CONFIG_EROFS_FS', false),
    ...pageFeatures(pageSize(), release()),
    await verity(),
  ];
}

function loop(): Feature {
  const isThere = existsSync('/sys/class/misc/loop-control');
  return {
    ...{ group: 'images', name: 'loop devices', required: true, presence: presence(isThere || hasModule('loop')) },
    detail: isThere ? '' : 'no image can be mounted before the module loop is loaded',
    enable: 'CONFIG_BLK_DEV_LOOP; as a module: modprobe loop',
  };
}

function fileSystem(name: string, option: string, required: boolean): Feature {
  const isLoaded = new RegExp(`\\t${name}$`, 'm').test(textOf('/proc/filesystems') ?? '');
  const isModule = !isLoaded && hasModule(name);
  return {
    ...{ group: 'images', name, required, presence: presence(isLoaded || isModule), enable: option },
    detail: isModule ? 'a module, loaded when it is needed' : isLoaded ? '' : `${name} images cannot be mounted`,
  };
}

/** As the configuration says; else as the file system's own functions show once it is loaded. */
function compression([name, symbol, option, required]: (typeof compressions)[number]): Feature {
  const configured = hasOption(option);
  const isLoaded = hasSymbol('squashfs_fill_super') === 'present';
  const found: Presence = configured === 'unknown' && isLoaded ? hasSymbol(symbol) : configured;
  const details = {
    present: '',
    absent: `squashfs images compressed with ${name} cannot be mounted`,
    unknown: 'this kernel does not show its configuration, and squashfs is not loaded',
  };
  return {
    ...{ group: 'images', name: `squashfs with ${name}`, required, presence: found, enable: option },
    detail: details[found],
  };
}

async function verity(): Promise<Feature> {
  const common = {
    group: 'images',
    name: 'dm-verity',
    required: false,
    enable: 'CONFIG_BLK_DEV_DM, CONFIG_DM_VERITY',
  } as const;
  try {
    await checkVerity();
    return { ...common, presence: 'present', detail: '' };
  } catch (error) {
    const without = 'repositories with a key need `integrity: full-check`';
    const message = messageOf(error);
    if (error instanceof NoDeviceMapper) return { ...common, presence: 'absent', detail: `${without}: ${message}` };
    return { ...common, presence: 'unknown', detail: message };
  }
}
