// What this host offers and lacks for northstate. Every probe leaves the host as it was.
import type { Feature } from './feature.ts';
import { groupFeatures } from './cgroup-controllers.ts';
import { imageFeatures } from './images.ts';
import { kernelFeatures } from './kernel.ts';
import { programFeatures } from './needed-programs.ts';
import { rightFeatures } from './rights.ts';
import { watchFeatures } from './watches.ts';

/** Looks at everything, in the order in which a person would. */
export async function checkHost(): Promise<Feature[]> {
  return [
    ...kernelFeatures(),
    ...watchFeatures(),
    ...(await imageFeatures()),
    ...(await groupFeatures()),
    ...rightFeatures(),
    ...programFeatures(),
  ];
}
