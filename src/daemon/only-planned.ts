// A part of a reconciler that only looks: what it would do is told, and not done.
import type { Part, Step } from '../../controllers/controller.ts';

/** Says what would be done, and that it was not. */
export function onlyPlanned({ plan }: Part, would: (step: Step) => void): Part {
  return {
    plan,
    act(step) {
      would(step);
      return Promise.reject(new Error(`${step.op} is only planned`));
    },
  };
}
