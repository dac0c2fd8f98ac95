// The options of the kernel that northstate uses, as a fragment of a configuration (merge_config.sh, Yocto's .cfg).
import type { Feature } from './feature.ts';

/** What no single feature names, and every container needs. */
const always = [
  'CONFIG_NAMESPACES',
  'CONFIG_UNIX',
  'CONFIG_TMPFS',
  'CONFIG_FHANDLE',
  'CONFIG_DEVTMPFS',
  'CONFIG_PROC_FS',
];

/** Which features are left to the integrator: they ask for more than an option. */
const asked = /^SELinux/;

/** One option a line, under the feature that it brings. */
export function kernelFragment(features: readonly Feature[]): string {
  const parts = features.flatMap(({ name, enable }) => {
    const options = enable?.match(/\bCONFIG_\w+/g) ?? [];
    return options.length === 0 || asked.test(name) ? [] : [{ name, options }];
  });
  const given = new Set<string>();
  const lines = [{ name: 'every container', options: always }, ...parts].flatMap(({ name, options }) => {
    const fresh = options.filter((option) => !given.has(option));
    for (const option of fresh) given.add(option);
    return fresh.length === 0 ? [] : [`# ${name}`, ...fresh.map((option) => `${option}=y`)];
  });
  return `${lines.join('\n')}\n`;
}
