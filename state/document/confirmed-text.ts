// What was confirmed last counts again whatever has come since: of signed documents it alone may have a lower serial.
import { lastConfirmed } from '../trial/trial-record.ts';
import type { Core } from './core.ts';

/** Whether a text is, byte for byte, the one that was confirmed last, where documents must be signed: else no serial is asked for. */
export async function isConfirmedText(core: Core, text: string): Promise<boolean> {
  if (core.admission.keys === null) return false;
  const confirmed = lastConfirmed(core.trial, core.stored);
  if (confirmed === core.stored) return text === core.text;
  return (await core.generations.read(confirmed))?.text === text;
}
