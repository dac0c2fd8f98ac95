// What tests of a whole runtime say about repositories.
import assert from 'node:assert/strict';
import type { ConditionType, ContainerStatus } from '../../state/status.ts';
import { startDaemon, type Daemon } from './test-daemon.ts';
import { openDescriptors } from './leaks.ts';
import { endsClean } from './scenario.ts';

/** A document with these repositories and containers, a line each. */
export const documentWith = (repositories: readonly string[], containers: readonly string[]): string =>
  `apiVersion: northstate/v1
repositories: {${repositories.join(', ')}}
containers: {${containers.join(', ')}}
...
`;

/** An entry of `app`. */
export const entry = 'app: { state: running }';

/** Whether a condition of a container is true. */
export const holds = (container: ContainerStatus, type: ConditionType): boolean =>
  container.conditions.some((each) => each.type === type && each.status === 'True');

/** The reason that a condition of a container gives. */
export const reasonOf = (container: ContainerStatus, type: ConditionType): string | undefined =>
  container.conditions.find((each) => each.type === type)?.reason;

/** Starts a runtime whose packages lie in `packages`, with a document of repositories. */
export async function withRepositories(
  packages: readonly string[],
  document: (directory: string) => string,
  body: (daemon: Daemon) => Promise<void>,
): Promise<void> {
  const before = openDescriptors();
  await using daemon = await startDaemon({ packages, document });
  await body(daemon);
  await endsClean(daemon, before);
}

/** Runs `northstate ARGS` against a daemon, which must succeed; gives what it prints. */
export async function command(daemon: Daemon, ...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await daemon.run(...args);
  assert.equal(code, 0, stderr);
  return stdout;
}
