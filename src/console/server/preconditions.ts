// What Northstar checks before it does what a request says, in its order: which error a client is answered with.
// Pure functions of the state; the runtime itself judges everything that may change while it works.
import type { ObservedAttempt, ObservedPackage } from '../../../state/observed.ts';
import type { State } from '../../../state/store.ts';
import { highest, parseRequirement } from '../../../state/version.ts';
import { RuntimeError } from '../../runtime/runtime.ts';
import type { Bodies } from '../protocol/protocol.ts';
import { containerId, containerName, splitContainerId } from '../../../state/container-id.ts';

const reserved = ['NORTHSTAR_NAME', 'NORTHSTAR_VERSION', 'NORTHSTAR_CONTAINER', 'NORTHSTAR_CONSOLE'];

/** Throws the RuntimeError that forbids a start. */
export function checkStart(state: State, { container, init, environment }: Bodies['start']): void {
  const found = installed(state, container);
  const running = runningAttempt(state, found.name);
  if (running !== undefined) {
    const id = containerId(running.name, running.version);
    throw new RuntimeError('start_container_started', `${id} is running`, { container: id });
  }
  if (reserved.some((name) => Object.hasOwn(environment, name))) {
    const cause = `env contains reserved key ${reserved.join(' or ')}`;
    throw new RuntimeError('invalid_arguments', cause, { cause });
  }
  const misnamed = Object.keys(environment).find((name) => !/^[^=\0]{1,64}$/.test(name));
  if (misnamed !== undefined) {
    const cause = `env: a variable has 1 to 64 characters without "=": ${misnamed.slice(0, 64)}`;
    throw new RuntimeError('invalid_arguments', cause, { cause });
  }
  if (found.manifest.init === undefined && (init ?? '') === '') {
    throw new RuntimeError('start_container_resource', `${container} has no init`, { container });
  }
  for (const mount of found.manifest.mounts?.values() ?? []) {
    if (mount.type !== 'resource') continue;
    const versions = (state.observed.packages.get(mount.name) ?? []).map((each) => each.version);
    if (highest(parseRequirement(mount.version), versions) === null) {
      const detail = { container, resource: mount.name, version: mount.version };
      throw new RuntimeError(
        'start_container_missing_resource',
        `${mount.name} ${mount.version} is not installed`,
        detail,
      );
    }
  }
}

/** Throws the RuntimeError that forbids a signal. */
export function checkKill(state: State, { container, signal }: Bodies['kill']): void {
  installed(state, container);
  if (!isRunning(state, container)) {
    throw new RuntimeError('stop_container_not_started', `${container} is not running`, { container });
  }
  if (signal < 1 || signal > 31) throw new Error('EINVAL: Invalid argument'); // Northstar's words
}

/** Throws the RuntimeError that forbids a mount: one of what is mounted is invalid_container, as in Northstar. */
export function checkMount(state: State, container: string): void {
  installed(state, container);
  if (isMounted(state, container)) {
    throw new RuntimeError('invalid_container', `${container} is mounted already`, { container });
  }
}

/** Throws the RuntimeError that forbids an umount: of what runs, is not mounted, or is used; then it names the user. */
export function checkUmount(state: State, container: string): void {
  installed(state, container);
  checkIdle(state, container);
  if (!isMounted(state, container)) {
    throw new RuntimeError('umount_busy', `${container} is not mounted`, { container });
  }
}

/** Throws the RuntimeError that forbids an uninstall. */
export function checkUninstall(state: State, { container }: Bodies['uninstall']): void {
  installed(state, container);
  checkIdle(state, container);
}

/** The package of a container; throws invalid_container when it is not installed. */
export function installed(state: State, container: string): ObservedPackage {
  const found = state.observed.packages.get(containerName(container))?.find((each) => each.id === container);
  if (found === undefined) throw new RuntimeError('invalid_container', `${container} is not installed`, { container });
  return found;
}

/** The running attempt of a name, of whatever version. */
export function runningAttempt(state: State, name: string): ObservedAttempt | undefined {
  return state.observed.attempts.get(name)?.findLast((attempt) => attempt.state === 'running');
}

export function isMounted(state: State, container: string): boolean {
  return state.observed.mounts.get(containerName(container))?.some((mount) => mount.id === container) ?? false;
}

/** Whether this very version runs. */
export function isRunning(state: State, container: string): boolean {
  const { name, version } = splitContainerId(container);
  return runningAttempt(state, name)?.version === version;
}

function checkIdle(state: State, container: string): void {
  const user = isRunning(state, container) ? container : userOf(state, container);
  if (user !== null) throw new RuntimeError('umount_busy', `${user} uses ${container}`, { container: user });
}

/** Who has an image (name:version) mounted as a resource and runs, null when nobody does. */
function userOf(state: State, container: string): string | null {
  for (const attempts of state.observed.attempts.values()) {
    const user = attempts.find((attempt) => attempt.state === 'running' && attempt.record.uses.includes(container));
    if (user !== undefined) return containerId(user.name, user.version);
  }
  return null;
}
