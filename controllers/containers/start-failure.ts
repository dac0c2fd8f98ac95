// Why a start failed, as a sentence for a person: what the launcher says are a step, an errno and a subject. Pure.
import { capabilityNames } from '../../state/names.ts';
import type { ObservedAttempt } from '../../state/observed.ts';

type AttemptFailure = NonNullable<ObservedAttempt['failure']>;

/** Steps of the launcher that put something at a path of the image. */
const placing = new Set(['tree', 'filesystem', 'node', 'symlink', 'mask', 'attributes']);
const missing = new Set(['ENOENT', 'ENOTDIR', 'ELOOP']);

/** Names the package, what of its manifest could not be had, the reason, and last step and errno. `container` is name:version. */
export function startFailure(container: string, { step, code, subject }: AttemptFailure): string {
  const call = `${step} ${subject}`.trimEnd();
  return `${reasonOf(container, { step, code, subject }) ?? call} (${step}: ${code})`;
}

function reasonOf(container: string, { step, code, subject }: AttemptFailure): string | null {
  if (placing.has(step) && missing.has(code) && subject.startsWith('/'))
    return `the image of ${container} has no ${subject} to mount on`;
  if (step === 'tree' && code === 'EINVAL')
    return `${subject} in the image of ${container} cannot be mounted on: of the two one is a file, the other a directory`;
  if (step === 'filesystem' && code === 'ENODEV')
    return `${container} wants ${subject}, a file system that this kernel does not have`;
  if (step === 'exec' && code === 'ENOENT')
    return `the image of ${container} has no ${subject}, or not the interpreter that it names`;
  if (step === 'exec' && code === 'EACCES') return `the user of ${container} may not execute ${subject}`;
  if (step === 'write') return `${container} cannot have its limits: the kernel refuses ${subject}; change cgroups`;
  if (step === 'setns') return `what ${container} wants to join is no network namespace`;
  if (step === 'rlimit') return `${container} cannot have the resource limit ${subject}`;
  if (step === 'schedule') return `${container} cannot be scheduled by ${subject}`;
  if (step === 'label') return `the SELinux policy does not let ${container} have the context ${subject}`;
  if (step === 'capabilities') return `${container} cannot have ${subject.replace(/capability (\d+)/, named)}`;
  return null;
}

function named(text: string, number: string): string {
  return capabilityNames[Number(number)] ?? text;
}
