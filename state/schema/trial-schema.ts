// The section `trial`, in a document and in the configuration: what a document must come to before it is confirmed.
import { z } from 'zod';
import { confirmations, type TrialTerms } from '../trial/terms.ts';
import { isZone, parseWindow, type Gate } from '../trial/gates.ts';
import { durationPattern, parseDuration } from './units.ts';
import type { Descriptions } from './describe-schema.ts';

/** ms in 366 days: a deadline beyond it is none. */
const longest = 366 * 86_400_000;

const duration = z
  .string()
  .regex(durationPattern, { error: 'a duration is a number with ms, s, m, h or d, such as 60s' })
  .transform((given) => parseDuration(given) ?? 0)
  .refine((ms) => ms <= longest, 'at most 366d');

const path = z.string().regex(/^\/[^\0]{0,4095}$/, { error: 'an absolute path is expected' });

const gate = z
  .strictObject({
    exists: path.optional(),
    absent: path.optional(),
    between: z
      .string()
      .transform((text, context) => {
        const window = parseWindow(text);
        if (window !== null) return window;
        context.addIssue({ code: 'custom', message: 'a time of day is expected, such as "02:00-04:00"' });
        return z.NEVER;
      })
      .optional(),
    zone: z.string().refine(isZone, { error: 'a time zone is expected, such as UTC or Europe/Berlin' }).optional(),
    exec: z
      .array(z.string().regex(/^[^\0]{0,4096}$/, { error: 'a NUL character is not allowed' }))
      .min(1)
      .max(64)
      .refine(([program = '']) => program.startsWith('/'), { error: 'a program is named by its absolute path' })
      .optional(),
    timeout: duration.prefault('10s').refine((ms) => ms > 0 && ms <= 600_000, { error: 'more than 0, at most 10m' }),
    every: duration.prefault('1m').refine((ms) => ms >= 1000, { error: 'at least 1s' }),
  })
  .superRefine(({ exists, absent, between, zone, exec }, context) => {
    const says = [exists, absent, between, exec].some((each) => each !== undefined);
    if (!says) context.addIssue({ code: 'custom', message: 'it says none of exists, absent, between and exec' });
    if (exists !== undefined && exists === absent)
      context.addIssue({ code: 'custom', path: ['absent'], message: `${absent} cannot be there and not be there` });
    if (zone !== undefined && between === undefined)
      context.addIssue({ code: 'custom', path: ['zone'], message: 'zone is of between, which is not there' });
  })
  .transform(({ exists = null, absent = null, between = null, zone = 'UTC', exec = null, timeout, every }): Gate => {
    return { exists, absent, between, zone, exec, timeout, every };
  });

export const trialSchema = z
  .strictObject({
    confirm: z.enum(confirmations).default('health'),
    soak: duration.prefault('60s'),
    within: duration.prefault('10m'),
    boots: z.int().min(0).max(1000).default(3),
    when: gate.optional(),
    prune: z.boolean().optional(),
  })
  .superRefine(({ soak, within }, context) => {
    if (within > soak) return;
    const message = `within (10m unless it is given) must be longer than soak: ${within}ms is not longer than ${soak}ms`;
    context.addIssue({ code: 'custom', path: ['within'], message });
  })
  .transform(({ when, prune, ...given }): TrialTerms => {
    return { ...given, ...(when !== undefined && { when: [when] }), ...(prune !== undefined && { prune }) };
  });

export const trialDescriptions: Descriptions = {
  trial: 'A new document is on trial until it is confirmed; what is not goes back to the one before.',
  'trial.confirm': 'health: all of it must have been ready for soak; manual: somebody says so; none: at once.',
  'trial.soak': 'How long all of it must have been ready.',
  'trial.within': 'Not confirmed by then: back. Counted anew in each boot.',
  'trial.when': 'What must hold before anything is stopped; all of what it says.',
  'when.exists': 'A path of the host that must be there.',
  'when.absent': 'A path of the host that must not be there.',
  'when.between': 'A time of day, such as "02:00-04:00"; it may go past midnight.',
  'when.zone': 'Of which time zone that is; UTC when left out.',
  'when.exec': 'A program of the host and its arguments, run as root without a shell: exit status 0 says yes.',
  'when.timeout': 'A program that takes longer says no.',
  'when.every': 'How often the program is asked again while it says no.',
  'trial.prune': 'It may stop more than half of what runs.',
  'trial.boots': 'After so many boots with it unconfirmed: back.',
};
