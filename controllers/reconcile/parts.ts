// The controllers as the reconciler uses them: what a step has touched is observed right after it.
import type { CgroupStep } from '../cgroups/cgroups-plan.ts';
import type { Cgroups } from '../cgroups/cgroups.ts';
import type { ContainerStep } from '../containers/containers-plan.ts';
import type { Controller } from '../controller.ts';
import type { MountsStep } from '../mounts/mounts-plan.ts';
import type { Mounts } from '../mounts/mounts.ts';
import type { Part } from './reconciler.ts';
import type { RepositoryStep } from '../repositories/repositories-plan.ts';
import type { Repositories } from '../repositories/repositories.ts';
import type { MountWatch } from '../mounts/mounts-watch.ts';
import type { Observing } from '../observing.ts';

export interface PartsPorts {
  readonly repositories: Repositories;
  readonly mounts: Mounts;
  readonly cgroups: Cgroups;
  readonly containers: Controller<ContainerStep>;
  readonly mountWatch: MountWatch;
  readonly observing: Observing;
}

/** In the order of going up. */
export function createParts(ports: PartsPorts): Part[] {
  const { repositories, mounts, cgroups, containers, mountWatch, observing } = ports;
  return [
    part(repositories, async (step: RepositoryStep, signal) => {
      await repositories.act(step, signal);
      observing.packages(repositories.current(), [step.name]);
    }),
    part(mounts, (step: MountsStep, signal) =>
      mountWatch.during(async () => {
        await mounts.act(step, signal);
        observing.mount(step.id, mounts.observeOne(step.id));
      }),
    ),
    part(cgroups, async (step: CgroupStep, signal) => {
      try {
        await cgroups.act(step, signal);
      } finally {
        observing.cgroup(step.name, cgroups.observeOne(step.name));
      }
    }),
    part(containers, async (step: ContainerStep, signal) => {
      try {
        await containers.act(step, signal);
      } finally {
        // A sandbox is born in a leaf of its own, which stays when the rest fails; a start brings the limits.
        if (step.op === 'prepare' || step.op === 'start' || step.op === 'go')
          observing.cgroup(step.name, cgroups.observeOne(step.name));
      }
    }),
  ];
}

/** A part is given the steps that it has planned, and no others. */
function part<S extends RepositoryStep | MountsStep | CgroupStep | ContainerStep>(
  { plan }: Pick<Controller<S>, 'plan'>,
  act: (step: S, signal: AbortSignal) => Promise<void>,
): Part {
  return { plan, act: (step, signal) => act(step as S, signal) };
}
