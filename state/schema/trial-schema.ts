// The section `trial`, in a document and in the configuration: what a document must come to before it is confirmed.
import { z } from 'zod';
import { confirmations } from '../trial/terms.ts';
import { durationPattern, parseDuration } from './units.ts';
import type { Descriptions } from './describe-schema.ts';

/** ms in 366 days: a deadline beyond it is none. */
const longest = 366 * 86_400_000;

const duration = z
  .string()
  .regex(durationPattern, { error: 'a duration is a number with ms, s, m, h or d, such as 60s' })
  .transform((given) => parseDuration(given) ?? 0)
  .refine((ms) => ms <= longest, 'at most 366d');

export const trialSchema = z
  .strictObject({
    confirm: z.enum(confirmations).default('health'),
    soak: duration.prefault('60s'),
    within: duration.prefault('10m'),
    boots: z.int().min(0).max(1000).default(3),
  })
  .superRefine(({ soak, within }, context) => {
    if (within > soak) return;
    const message = `within (10m unless it is given) must be longer than soak: ${within}ms is not longer than ${soak}ms`;
    context.addIssue({ code: 'custom', path: ['within'], message });
  });

export const trialDescriptions: Descriptions = {
  trial: 'A new document is on trial until it is confirmed; what is not goes back to the one before.',
  'trial.confirm': 'health: all of it must have been ready for soak; manual: somebody says so; none: at once.',
  'trial.soak': 'How long all of it must have been ready.',
  'trial.within': 'Not confirmed by then: back. Counted anew in each boot.',
  'trial.boots': 'After so many boots with it unconfirmed: back.',
};
