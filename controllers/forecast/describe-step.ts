// Steps as a person reads them.
import type { ObservedAttempt } from '../../state/observed.ts';
import type { View } from '../controller.ts';
import type { AnyStep } from './effect.ts';
import { signalName } from '../../state/signals.ts';
import { containerId } from '../../state/container-id.ts';

type Texts = { [O in AnyStep['op']]: (step: Extract<AnyStep, { op: O }>, view: View) => string };

/** One line that says what a step does. */
export function describeStep(step: AnyStep, view: View): string {
  // The table is complete by its type; TypeScript does not see that the key and the argument belong together.
  return (texts[step.op] as (step: AnyStep, view: View) => string)(step, view);
}

const texts: Texts = {
  install: ({ name, source, repository }) => `install ${name} from ${source} into ${repository}`,
  digest: ({ id }) => `find the digest of ${id}`,
  uninstall: ({ id, path }) => `delete ${id} (${path})`,
  mount: ({ id }) => `mount ${id}`,
  umount: ({ id }) => `unmount ${id}`,
  limit: ({ name }) => `change the limits of ${name}`,
  freeze: ({ name }) => `freeze ${name}`,
  thaw: ({ name }) => `let ${name} go on`,
  'end-leaf': ({ name, attempt }) => `end what a kill has left of attempt ${attempt} of ${name}`,
  'remove-leaf': ({ name, attempt }) => `remove the group of attempt ${attempt} of ${name}`,
  'remove-group': ({ name }) => `remove the groups of ${name}`,
  'keep-data': ({ name, version }) => `keep the persistent data of ${name}:${version}`,
  'restore-data': ({ name, version }) => `bring back the persistent data of ${name}:${version}`,
  'drop-data': ({ name, version }) => `delete what was kept of the persistent data of ${name}:${version}`,
  prepare: ({ name, version }) => `prepare a sandbox for ${name}${version === '' ? '' : `:${version}`}`,
  start: ({ name, version }) => `start ${name}:${version}`,
  go: ({ name, id, after }, view) =>
    after === 0
      ? `start ${idOf(view, id) ?? name}`
      : `have ${idOf(view, id) ?? name} start when ${idOf(view, after) ?? name} ends`,
  signal: ({ id, name, signal, grace }, view) =>
    `stop ${idOf(view, id) ?? name} (${signalName(signal)}, then SIGKILL after ${grace} ms)`,
  kill: ({ id, name }, view) => `kill ${idOf(view, id) ?? name}`,
  discard: ({ id, name }, view) => `discard the sandbox of ${idOf(view, id) ?? name}`,
  forget: ({ id, name }) => `forget attempt ${id} of ${name}`,
  ask: ({ name }) => `ask ${name} how it is`,
  note: ({ name, ran }) => (ran === null ? `note that ${name} may run again` : `note that ${name} has run`),
};

function idOf({ attempts }: View, id: number): string | null {
  const found: ObservedAttempt | undefined = attempts.find((attempt) => attempt.id === id);
  return found === undefined ? null : containerId(found.name, found.version);
}
