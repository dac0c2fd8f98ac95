// A reconciler whose launcher is of another version: the launcher of this installation takes its place.
import type { OtherWire } from '../../native/wire/launcher.ts';
import { runtimeVersion } from '../runtime-version.ts';
import { commandAt } from './installation-at.ts';

/** ms for the proof. */
const patience = 60_000;

/** Ends this process when it succeeds. Rejects with LaunchError when the launcher refuses; nothing has changed then. */
export async function supersede({ launcher, message }: OtherWire): Promise<never> {
  process.stderr.write(`northstate: ${message}: that of northstate ${runtimeVersion} is to take over\n`);
  await launcher.prove([await commandAt(null), 'run', ...process.argv.slice(2)], patience);
  await launcher.takeover();
  return await new Promise<never>(() => undefined);
}
